"""How many image tokens a pruner with a fixed count keeps, and how they are shared among the cameras."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from vla_bench.errors import ModelError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.layout import Layout
from vla_bench.interface.pruner import Pruner, cuts_at
from vla_bench.interface.view import View
from vla_bench.pruners import shares
from vla_bench.pruners.shares import count
from vla_bench.trace import Cut


def count_per_camera(keep: float, sizes: Layout | VLAConfig) -> list[int]:
    """As `shares.count_per_camera`."""
    return shares.count_per_camera(keep, sizes.patches, sizes.cameras)


def counts(keep: float, layout: Layout, per_camera: bool) -> list[int]:
    """How many stay of every camera's image tokens, or of all in one pool."""
    return count_per_camera(keep, layout) if per_camera else [count(keep, layout.visual)]


def pools(ids: Tensor, layout: Layout, number: int) -> Tensor:
    """Which image tokens (B, V) compete with one another, (B, number, V) bool: those of a camera, or all where `number` is 1."""
    pool = torch.div(ids, layout.visual // number, rounding_mode="floor")
    return pool.unsqueeze(1) == torch.arange(number, device=ids.device).view(1, -1, 1)


def keeps_all(keep: float, config: VLAConfig) -> bool:
    """Whether nothing leaves: then no attention is needed."""
    return count(keep, config.visual_tokens) >= config.visual_tokens


def top_k(scores: Tensor, k: int) -> Tensor:
    """The k largest of each row of (B, V) as a mask; ties go to the smaller index on every device."""
    order = torch.sort(scores, dim=-1, descending=True, stable=True).indices[:, :k]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, order, True)


def first(scores: Tensor, among: Tensor, counts: Tensor) -> Tensor:
    """Mask of the `counts` (B,) best by scores (B, V) among those of `among` (B, V); ties go to the smaller index."""
    order = scores.masked_fill(~among, -torch.inf).sort(dim=1, descending=True, stable=True).indices
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1], device=order.device).expand_as(order))
    return among & (rank < counts.unsqueeze(1))


def check(scores: Tensor, name: str, view: View) -> Tensor:
    """The scores.  Raises ModelError where that of a valid image token is not finite."""
    if not scores.is_meta and not torch.isfinite(scores if view.patches.valid is None else scores[view.patches.valid]).all():
        step = view.queries[0].step if view.queries else 0
        raise ModelError(f"{name} at {view.site}, step {step}: the scores are not finite", "vla-bench verify")
    return scores


def best(scores: Tensor, view: View, keep: float, per_camera: bool) -> Tensor:
    """Mask (B, V) of the image tokens with the highest scores (B, V), ties to the smaller index.

    keep: of all image tokens before pruning, as `count` has it; per camera, `keep` of each camera's (a number is split evenly).
    Tokens that have left already and padding are never chosen.
    """
    layout = view.layout
    valid = torch.ones_like(view.patches.ids, dtype=torch.bool) if view.patches.valid is None else view.patches.valid
    scores = scores.float().masked_fill(~valid, -torch.inf)
    if not per_camera:
        return top_k(scores, count(keep, layout.visual)) & valid
    camera = torch.div(view.patches.ids, layout.patches, rounding_mode="floor")
    chosen = torch.zeros_like(valid)
    for number, share in enumerate(count_per_camera(keep, layout)):
        here = (camera == number) & valid
        chosen |= top_k(scores.masked_fill(~here, -torch.inf), share) & here
    return chosen


def expected_cuts(pruner: Pruner, config: VLAConfig, keep: float, per_camera: bool, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
    """`Pruner.expected` of one that keeps a fixed share or number; no cut where that is everything."""
    if kept:
        return cuts_at(pruner, config, kept)
    if keeps_all(keep, config):
        return ()
    return cuts_at(pruner, config, [sum(count_per_camera(keep, config)) if per_camera else count(keep, config.visual_tokens)])
