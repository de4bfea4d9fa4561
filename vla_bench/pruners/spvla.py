"""SP-VLA: the faster the hand moves up or down, the fewer image tokens; those with an edge in them always stay.

Rebuilt from a description of the authors' code, which was not available.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.needs import Need
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import VISION
from vla_bench.interface.view import Query, View
from vla_bench.pruners.budget import check
from vla_bench.pruners.edges import edge_patches
from vla_bench.pruners.memory import PerEpisode
from vla_bench.pruners.spvla_scheduler import BUFFER, ActionHistory, extrapolate, may_skip
from vla_bench.records import EpisodeKey


def threshold(z: float, z_thre: float, z_min: float) -> float:
    """The share of the attention that the kept tokens must hold: 1 below speed z_thre, falling to 1 - z_min at speed 1."""
    return 1.0 if z < z_thre else 1 - (min(z, 1.0) - z_thre) * z_min / (1 - z_thre)


def most_attended(attention: Tensor, share: Tensor) -> Tensor:
    """The most attended tokens of each camera's image, as few as hold `share` of its attention: mask (B, V).

    attention (B, V), rows summing to 1; share (B,), 1 and above meaning all.  Ties go to the smaller index.
    """
    ordered, order = torch.sort(attention, dim=-1, descending=True, stable=True)
    share = share.to(attention.device, torch.float64).unsqueeze(1)
    # A token stays while those before it hold too little.  All tokens together may miss 1 by rounding, hence the second case.
    held = ordered.double().cumsum(dim=-1)
    stays = (held.roll(1, dims=-1) < share) | (share >= 1)
    stays[:, 0] = True
    return torch.zeros_like(stays).scatter_(1, order, stays)


class SPVLA(Pruner):
    """At the vision output, keep of each camera the tokens that SigLIP attends to most, and those with an edge in them.

    How many follows from the height changed by the last executed action, |dz| in the robot's units (1 is full speed): the
    first query of an episode keeps everything, as does any slow one.

    z_thre, z_min: see `threshold`.
    edges: False leaves out the edges, the paper's ablation.
    positions: "renumber" counts over what is left, as embeddings that merely got shorter do in the release.
    scheduler: return single steps of `extrapolate` as cached actions, the forward pass being skipped, where `may_skip` allows,
        with z_xy_rate, z_max and step_skip.  Off, since a query here gives a chunk of 8 steps.

    The defaults are LIBERO-Spatial's; the other suites' are profiles.  The block of SigLIP whose attention counts is the one that
    the features come from; the one behind it, the very last, is never used and may be what the authors mean.
    """

    name = "spvla"
    source = "ICLR 2026, arXiv 2506.12723; ChildTang/SP-VLA, from a description"
    sites = (VISION,)
    needs = frozenset({Need.VISION_ATTENTION, Need.IMAGES, Need.ACTIONS})
    adaptive = True
    profiles = {
        "release": {"positions": "renumber", "scheduler": True},
        "paper": {"positions": "renumber", "scheduler": True},
        "spatial": {},
        "object": {"z_xy_rate": 0.6, "z_max": 0.5, "step_skip": 2},
        "goal": {"z_thre": 0.3, "z_min": 0.7, "z_xy_rate": 1.2, "step_skip": 2},
        "long": {"z_thre": 0.3, "z_min": 0.85, "z_xy_rate": 1.0, "step_skip": 2},
    }

    def __init__(
        self,
        z_thre: float = 0.5,
        z_min: float = 0.9,
        *,
        edges: bool = True,
        positions: Literal["keep", "renumber"] = "keep",
        scheduler: bool = False,
        z_xy_rate: float = 0.4,
        z_max: float = 0.3,
        step_skip: int = 1,
    ):
        super().__init__()
        if not (0 <= z_thre < 1 and 0 <= z_min <= 1 and 1 <= step_skip <= BUFFER):
            given = f"z_thre={z_thre:g}, z_min={z_min:g}, step_skip={step_skip}"
            raise UsageError(f"spvla: {given} must lie in 0 to 1, 1 itself excluded; 0 to 1; 1 to {BUFFER}", "vla-bench pruners")
        self.z_thre, self.z_min, self.edges = z_thre, z_min, edges
        self.renumber = positions == "renumber"
        self.scheduler, self.rule = scheduler, (z_xy_rate, z_max, step_skip)
        self._past = PerEpisode(ActionHistory)

    def reset(self, episode: EpisodeKey) -> None:
        self._past.reset(episode)

    def select(self, view: View) -> Selection | None:
        shares = [threshold(self._past[query.episode].speed, self.z_thre, self.z_min) for query in view.queries]
        if all(share >= 1 for share in shares):
            return None
        cameras, patches = view.layout.cameras, view.layout.patches
        attention = check(view.siglip_attention, self.label, view).reshape(-1, patches)
        keep = most_attended(attention, torch.tensor(shares, dtype=torch.float64).repeat_interleave(cameras))
        keep = keep.reshape(view.patches.ids.shape)
        if self.edges:
            everything = np.ones(keep.shape[1], dtype=bool)  # a sample that keeps everything needs no edges
            pairs = zip(view.queries, shares, strict=True)
            edges = [self._edges(query, view) if share < 1 else everything for query, share in pairs]
            keep = keep | torch.from_numpy(np.stack(edges)).to(keep.device)
        return Selection(keep)

    def _edges(self, query: Query, view: View) -> np.ndarray:
        if query.images is None:
            raise ModelError(f"{self.label} at {view.site}, step {query.step}: the query has no camera images to detect edges in")
        return edge_patches(query.images, view.layout.patches).ravel()

    def cached_action(self, query: Query) -> np.ndarray | None:
        past = self._past[query.episode]
        past.extrapolating = self.scheduler and may_skip(past, *self.rule)
        return extrapolate(np.stack(past.actions))[None] if past.extrapolating else None

    def observe(self, query: Query, actions: np.ndarray) -> None:
        self._past[query.episode].add(actions)
