"""DivPrune: the image tokens that lie farthest from one another, chosen before the LLM; no attention, no text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vla_bench.interface.config import VLAConfig
from vla_bench.interface.lengths import Case
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import View
from vla_bench.pruners.budget import check, counts, expected_cuts, pools
from vla_bench.pruners.shares import count
from vla_bench.trace import Cut


def cosine_distances(hidden: Tensor) -> Tensor:
    """1 - cosine of every two tokens, in float32: (B, V, D) -> (B, V, V)."""
    directions = F.normalize(hidden.float(), dim=-1)
    return 1 - directions @ directions.mT


def farthest(distances: Tensor, pools: Tensor, k: int) -> Tensor:
    """Greedy max-min selection within pools of tokens: (B, V, V) and (B, P, V) bool -> (B, P, k) in the order of the picks.

    First the token whose nearest other one is farthest, then always the one farthest from all picked; ties go to the
    smaller index.  A pool with fewer than k tokens repeats token 0 once it is empty.  No step waits for the device.
    """
    inside = distances.unsqueeze(1).masked_fill(~pools.unsqueeze(3), torch.inf)  # (B, P, from, to)
    # Of every column the second smallest entry: the smallest is the token itself.
    nearest = inside.topk(min(2, inside.shape[2]), dim=2, largest=False).values[:, :, -1]
    pick = nearest.masked_fill(~pools, -torch.inf).argmax(dim=-1)  # (B, P)
    # A picked token is infinitely near to itself, and never the farthest again.
    distances = distances.diagonal_scatter(distances.new_full(distances.shape[:2], -torch.inf), dim1=1, dim2=2)
    sample = torch.arange(len(distances), device=distances.device).unsqueeze(1)
    nearest = torch.where(pools, torch.inf, -torch.inf)
    picks = [pick]
    for _ in range(k - 1):
        nearest = torch.minimum(nearest, distances[sample, picks[-1]])
        picks.append(nearest.argmax(dim=-1))
    return torch.stack(picks[:k], dim=-1) if k else pick.new_empty(*pick.shape, 0)


def spread(distances: Tensor, pools: Tensor, counts: Sequence[int]) -> Tensor:
    """Mask (B, V) of the `farthest` of each pool, `counts` of them; distances (B, V, V), pools (B, P, V) bool."""
    picks = farthest(distances, pools, max(counts))
    chosen = torch.zeros_like(pools)
    for pool, k in enumerate(counts):  # greedy picks: the first k are those of a smaller k
        chosen[:, pool].scatter_(1, picks[:, pool, :k], True)
    return (chosen & pools).any(dim=1)


def pair_macs(config: VLAConfig) -> int:
    """Every image token against every other one."""
    return config.visual_tokens**2 * config.llm.width


class DivPrune(Pruner):
    """Keep a share of the image tokens such that the smallest cosine distance among them is as large as a greedy choice makes it.

    keep: share or number of the image tokens.
    quota: "per_image" chooses as many of every camera, each camera for itself.
    """

    name = "divprune"
    source = "CVPR 2025, arXiv 2503.02175; vbdi/divprune"
    sites = (LLM_INPUT,)
    profiles = {"release": {"keep": 0.098, "quota": "global"}, "paper": {"keep": 0.098, "quota": "global"}}

    def __init__(self, keep: float = 0.25, quota: Literal["per_image", "global"] = "per_image"):
        super().__init__()
        self.keep, self.quota = keep, quota

    def select(self, view: View) -> Selection | None:
        layout, patches = view.layout, view.patches
        if count(self.keep, layout.visual) >= layout.visual:
            return None
        distances = cosine_distances(patches.hidden)
        check(distances.diagonal(dim1=1, dim2=2), self.label, view)  # a NaN in a token makes its distance to itself NaN
        shares = counts(self.keep, layout, self.quota == "per_image")
        among = pools(patches.ids, layout, len(shares))
        if patches.valid is not None:
            among = among & patches.valid.unsqueeze(1)
        return Selection(spread(distances, among, shares))

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
        return expected_cuts(self, config, self.keep, self.quota == "per_image", kept)

    def macs(self, case: Case) -> int:
        """All pairs, also where every camera chooses for itself."""
        return 0 if case.cut(LLM_INPUT) is None else pair_macs(case.config)
