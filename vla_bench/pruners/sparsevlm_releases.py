"""The published versions of SparseVLM: where image tokens leave and how many.  Without torch, so that costs are counted fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vla_bench.errors import UsageError

DEPTH = 32  # decoder layers of the models that the releases' layer numbers are made for
PATCHES = 576  # image tokens that their budgets are made for


@dataclass(frozen=True)
class Release:
    """One of the published versions.

    cuts: after which decoder layers tokens leave.
    budgets: how many stay after each cut, by nominal budget; none where something else decides.
    recycles: the best of those that leave are merged.
    unrotates: attention is divided by RoPE's positional term.
    """

    cuts: tuple[int, ...]
    budgets: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    recycles: bool = False
    unrotates: bool = False


V15 = {192: (300, 200, 110), 128: (303, 110, 36), 96: (238, 48, 26), 64: (66, 30, 17)}
V2 = {192: (300, 200, 118), 128: (238, 108, 60), 96: (246, 54, 28), 64: (66, 34, 20)}
RELEASES = {
    "v1.5": Release((2, 6, 15), V15, recycles=True),  # March 2025
    "v2": Release((2, 6, 15), V2, unrotates=True),  # December 2025, also called SparseVLM+
    "rank": Release((2, 6, 15, 19), recycles=True),  # October 2024
    "1stage": Release((2,)),  # VLA-Pruner's port; many published "SparseVLM on OpenVLA" are this
}


def scaled(count: int, visual: int) -> int:
    """A release's number of image tokens for a model that has `visual`."""
    return round(count * visual / PATCHES)


def fitted(layers: Sequence[int], depth: int) -> list[int]:
    """Layers of a 32-layer decoder for one of `depth`: as they are where a layer is left behind the last, else scaled.

    They stay apart and in order.  Raises UsageError where there are too few.
    """
    if layers[-1] + 1 < depth:
        return list(layers)
    if len(layers) >= depth:
        raise UsageError(f"sparsevlm: {len(layers)} cuts do not fit between {depth} layers", "vla-bench eval --pruner fastv")
    placed: list[int] = []
    for left, layer in zip(reversed(range(len(layers))), layers, strict=True):
        after = round((layer + 1) * depth / DEPTH) - 1  # a cut after layer l stands at (l + 1) / depth
        lowest = placed[-1] + 1 if placed else 0
        placed.append(min(max(after, lowest), depth - 2 - left))
    return placed


def sizes(dropped: int) -> tuple[int, int]:
    """How many of the dropped tokens are recycled, and into how many groups."""
    recycled = int(0.3 * dropped) + 1 if dropped else 0
    return recycled, recycled // 10 + 1 if dropped else 0
