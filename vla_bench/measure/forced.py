"""A pruner that runs in full and then keeps a given number of image tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from vla_bench.errors import UsageError
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.view import View
from vla_bench.pruners.wrappers import Wrapper


class ForcedCount(Wrapper):
    """For timing with the kept tokens of trained weights where the weights are random.

    The inner pruner runs in full, so that its cost is timed; its choice is then cut down, or filled up from the front.
    Raises UsageError for a pruner that cuts several times or merges: one number does not describe it.
    """

    name = "forced"

    def __init__(self, inner: Pruner):
        super().__init__(inner)
        if len(inner.sites) != 1:
            raise UsageError(
                f"{inner.label} cuts {len(inner.sites)} times, and no one number of kept tokens can be replayed",
                "vla-bench latency --kept-distribution own",
            )
        self.label, self.static = inner.label, inner.static
        # On the device: a replayed CUDA graph reads the number of the moment there.
        self.register_buffer("count", torch.tensor(-1), persistent=False)

    def set_count(self, kept: int) -> None:
        """Keep `kept` image tokens from now on."""
        self.count.fill_(kept)

    def choose(self, view: View) -> Tensor:
        return exactly(self.inner.choose(view), self.count)

    def select(self, view: View) -> Selection:
        choice = self.inner.select(view)
        if choice is None:
            choice = Selection(torch.ones_like(view.patches.ids, dtype=torch.bool))
        if not isinstance(choice, Selection) or choice.merged is not None or choice.reuse:
            raise UsageError(
                f"{self.label} does more than keep some tokens, and no one number of them can be replayed",
                "vla-bench latency --kept-distribution own",
            )
        return Selection(exactly(choice.keep, self.count))


def exactly(keep: Tensor, count: Tensor) -> Tensor:
    """A mask (B, V) of `count` () tokens a row: first those in `keep` (B, V), then the others, each from the front."""
    order = torch.sort(keep.to(torch.int8), dim=-1, descending=True, stable=True).indices
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
    return rank < count
