"""VLA-Pruner: image tokens stay that matter for reading the instruction or for acting; of those, similar ones leave.

Here for a model with parallel decoding: the attention of the action slots exists in the layer where tokens are cut.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.layout import Span
from vla_bench.interface.lengths import Case
from vla_bench.interface.needs import Rows
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT, Site, before_layer
from vla_bench.interface.view import View
from vla_bench.pruners.budget import best, check, counts, expected_cuts, keeps_all, pools
from vla_bench.pruners.divprune import cosine_distances, pair_macs, spread
from vla_bench.pruners.memory import PerEpisode
from vla_bench.records import EpisodeKey
from vla_bench.trace import Cut

QUERY_TOKENS = {"text": Span.PROMPT, "prefill": Span.PREFILL, "last": Span.LAST}


def decayed(history: Tensor, decay: float, order: str) -> Tensor:
    """Weighted mean of attention (w, V), the oldest first, scaled to sum 1: (V,).

    order: "paper" gives the newest the weight 1 and each one before it `decay` times that; the released code does it the
    other way round, "released".
    """
    age = torch.arange(len(history), device=history.device)
    weights = decay ** (age.flip(0) if order == "paper" else age).float()
    mixed = (weights.unsqueeze(1) * history.float()).sum(dim=0)
    return mixed / mixed.sum()


class VLAPruner(Pruner):
    """Before layer `layer`: the best for the text and the best for the actions, both by their attention in the layer above.
    Where that is too many, those stay whose embeddings before layer 0 are farthest from each other.

    keep: share or number of the image tokens.
    rater: the query tokens whose attention counts as reading; the release takes "prefill", everything before the action slots.
    quota: "per_image" keeps as many of every camera.
    use_temporal: what acting needs is taken from the attention of the action slots in the last `window` queries of the
        episode, weighted by `decay` as `decayed` says, instead of in this one; the first query has only its own.
    warm_up: nothing leaves in an episode's first `window` queries.  The paper's model needs it, which decodes token by token
        and has no attention of actions before.
    """

    name = "vla-pruner"
    source = "arXiv 2511.16449; MINT-SJTU/VLA-Pruner"
    profiles = {
        "release": {"layer": 4, "keep": 0.5, "rater": "prefill", "order": "released"},
        "paper": {"layer": 3, "keep": 0.5, "rater": "prefill", "use_temporal": True, "warm_up": True},
    }

    def __init__(
        self,
        layer: int = 3,
        keep: float = 0.25,
        *,
        rater: Literal["text", "prefill", "last"] = "text",
        quota: Literal["per_image", "global"] = "per_image",
        use_temporal: bool = False,
        window: int = 3,
        decay: float = 0.8,
        order: Literal["paper", "released"] = "paper",
        warm_up: bool = False,
    ):
        super().__init__()
        if window < 1 or not decay > 0:
            raise UsageError(f"{self.name}: window={window} and decay={decay:g} must be above 0", "vla-bench pruners")
        if warm_up and not use_temporal:
            raise UsageError(f"{self.name}: warm_up fills the memory that use_temporal reads", "--pruner-args use_temporal=true")
        self.adaptive = self.warm_up = warm_up
        self.window = window
        self.keep, self.per_camera = keep, quota == "per_image"
        self.use_temporal, self.decay, self.order = use_temporal, decay, order
        self.sites = (LLM_INPUT, before_layer(layer))
        self.reading, self.acting = self.rows = (Rows(layer - 1, QUERY_TOKENS[rater]), Rows(layer - 1, Span.SLOTS))
        self._history = PerEpisode(lambda: deque(maxlen=window))
        self._embeddings: Tensor | None = None  # of this forward pass's image tokens, before layer 0

    def attach(self, config: VLAConfig) -> None:
        if self.acting.layer < 1:
            # Their embeddings are zero, and so are their queries in layer 0.
            raise UsageError(
                f"{self.label}: the action slots attend to everything alike before layer 2", "vla-bench eval --pruner vla-pruner"
            )
        if keeps_all(self.keep, config):
            self.rows = ()

    def reset(self, episode: EpisodeKey) -> None:
        self._history.reset(episode)

    def select(self, view: View) -> Selection | None:
        layout = view.layout
        shares = counts(self.keep, layout, self.per_camera)
        if sum(shares) >= layout.visual:
            return None
        if view.site == LLM_INPUT:
            self._embeddings = view.patches.hidden
            return None
        reading, acting = (check(view.rows[rows].images(), self.label, view) for rows in (self.reading, self.acting))
        cold = [self.warm_up and len(self._history[query.episode]) < self.window for query in view.queries]
        if self.use_temporal:
            acting = self._remembered(acting, view)
        ids = view.patches.ids
        candidates = best(reading, view, self.keep, self.per_camera) | best(acting, view, self.keep, self.per_camera)
        among = candidates.unsqueeze(1) & pools(ids, layout, len(shares))
        embeddings, self._embeddings = self._embeddings, None
        embeddings = embeddings.gather(1, ids.unsqueeze(-1).expand(-1, -1, embeddings.shape[-1]))
        keep = spread(cosine_distances(embeddings), among, shares)
        return Selection(keep | torch.tensor(cold, device=keep.device).unsqueeze(1) if any(cold) else keep)

    def _remembered(self, acting: Tensor, view: View) -> Tensor:
        """What acting needed in earlier queries, (B, V); `acting` is remembered for later ones."""
        ids = view.patches.ids
        whole = acting.new_zeros(len(acting), view.layout.visual).scatter(1, ids, acting)
        remembered = []
        for query, now in zip(view.queries, whole, strict=True):
            history = self._history[query.episode]
            remembered.append(decayed(torch.stack(list(history)), self.decay, self.order) if history else now)
            history.append(now)
        return torch.stack(remembered).gather(1, ids)

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
        return expected_cuts(self, config, self.keep, self.per_camera, kept)

    def macs(self, case: Case) -> int:
        """All pairs."""
        return 0 if case.cut(self.sites[-1]) is None else pair_macs(case.config)

    @property
    def cutting_sites(self) -> Sequence[Site]:
        return self.sites[-1:]
