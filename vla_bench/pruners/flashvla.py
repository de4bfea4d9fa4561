"""FlashVLA: image tokens that contribute little to the singular vectors of all of them leave early.

No code was published.  The score is that of TokenCarve, an earlier method of the same author.  Not to be confused with a
streaming model of 2026 that has the same name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.lengths import Case
from vla_bench.interface.needs import Need
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import before_layer
from vla_bench.interface.view import Query, View
from vla_bench.pruners.budget import best, check, expected_cuts
from vla_bench.pruners.divprune import pair_macs
from vla_bench.pruners.memory import PerEpisode
from vla_bench.pruners.scored import Ranked
from vla_bench.pruners.shares import count
from vla_bench.records import EpisodeKey
from vla_bench.trace import Cut

LAST = 2  # queries that the trigger compares


def contributions(hidden: Tensor) -> tuple[Tensor, Tensor]:
    """What each token contributes to all singular directions, s_j = sum_i |u_ji| sigma_i with X = U Sigma W^T.

    hidden X: (B, V, D) -> scores (B, V) float32; singular values (B, V) float32, descending, zeros behind the first D.
    U and Sigma^2 come from the V x V Gram matrix, far cheaper than the SVD of a long X.  Squaring halves the digits of small
    values, hence float64.
    """
    wide = hidden.double()
    squares, directions = torch.linalg.eigh(wide @ wide.mT)
    sigma = squares.clamp(min=0).sqrt()  # rounding makes tiny negative ones
    return (directions.abs() * sigma.unsqueeze(-2)).sum(dim=-1).float(), sigma.flip(-1).float()


def angle_between(first: np.ndarray, second: np.ndarray) -> float:
    """Between two action chunks (T, 7), one long vector each, in degrees; 180 where one of them does not move at all."""
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(np.degrees(np.arccos(np.clip((first * second).sum() / size, -1, 1)))) if size > 0 else 180.0


@dataclass
class AnswerHistory:
    """The last action chunks of an episode, the tokens kept for them, and whether the last chunk was returned twice."""

    actions: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=LAST))
    kept: deque[Tensor] = field(default_factory=lambda: deque(maxlen=LAST))  # (V,) bool each
    repeated: bool = False

    def steady(self, angle: float, overlap: float) -> bool:
        """Two chunks in nearly one direction, from nearly the same tokens."""
        if min(len(self.actions), len(self.kept)) < LAST or angle_between(*self.actions) >= angle:
            return False
        before, now = self.kept
        return int((before & now).sum()) > overlap * int(now.sum())


class FlashVLA(Ranked):
    """Before layer `layer`, keep the image tokens with the largest `contributions`.

    keep: share or number of the image tokens; the paper has 160 of 256.
    quota: "per_image" takes every camera's tokens as a matrix of their own, "global" all of them as one.
    trigger: return the last chunk once more as a cached action, the forward pass being skipped, when the last two chunks point
        the same way (less than `angle` degrees apart; the paper prints "more", which cannot be meant) and were made from the
        same tokens (more than `overlap` of them).  Never twice in a row.  Off, since a query here gives 8 steps and not one;
        the two thresholds are ours, the paper's are not known.
    """

    name = "flashvla-ics"
    source = "arXiv 2505.21200; no code (score as in TokenCarve)"
    profiles = {
        "paper": {"quota": "global", "trigger": True},
    }

    def __init__(
        self,
        layer: int = 2,
        keep: float = 0.625,
        *,
        quota: Literal["per_image", "global"] = "per_image",
        trigger: bool = False,
        angle: float = 10.0,
        overlap: float = 0.8,
    ):
        super().__init__()
        if not 0 <= overlap <= 1:
            raise UsageError(f"flashvla-ics: overlap={overlap:g} must lie in 0 to 1", "vla-bench pruners")
        self.keep, self.quota = keep, quota
        self.trigger, self.angle, self.overlap = trigger, angle, overlap
        self.sites = (before_layer(layer),)
        self.needs = frozenset({Need.ACTIONS}) if trigger else frozenset()
        self._past = PerEpisode(AnswerHistory)

    def attach(self, config: VLAConfig) -> None:
        if self.sites[0].layer < 0:
            raise UsageError(f"{self.label}: there is no layer {self.sites[0].layer}", "vla-bench pruners")

    def reset(self, episode: EpisodeKey) -> None:
        self._past.reset(episode)

    def select(self, view: View) -> Selection | None:
        if count(self.keep, view.layout.visual) >= view.layout.visual:
            self._remember(view, torch.ones_like(view.patches.ids, dtype=torch.bool))
            return None
        keep = best(self.ranked(self._scores(view)), view, self.keep, self.quota == "per_image")
        self._remember(view, keep)
        return Selection(keep)

    def _scores(self, view: View) -> Tensor:
        hidden = view.patches.hidden
        check(hidden.float().norm(dim=-1), self.label, view)  # an eigendecomposition with NaN may not even end
        if self.quota == "per_image":  # nothing has left before: the tokens of a camera stand together, all of them
            hidden = hidden.reshape(-1, view.layout.patches, hidden.shape[-1])
        return contributions(hidden)[0].reshape(view.patches.ids.shape)

    def _remember(self, view: View, keep: Tensor) -> None:
        if self.trigger:
            for query, kept in zip(view.queries, keep, strict=True):
                self._past[query.episode].kept.append(kept)

    def cached_action(self, query: Query) -> np.ndarray | None:
        if not self.trigger:
            return None
        past = self._past[query.episode]
        past.repeated = not past.repeated and past.steady(self.angle, self.overlap)
        return past.actions[-1].copy() if past.repeated else None

    def observe(self, query: Query, actions: np.ndarray) -> None:
        past = self._past[query.episode] if self.trigger else None
        if past and not past.repeated:
            past.actions.append(np.array(actions))

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
        return expected_cuts(self, config, self.keep, self.quota == "per_image", kept)

    def macs(self, case: Case) -> int:
        """The Gram matrix, of every camera or of all; its eigenvectors come on top, and are no product."""
        if case.cut(self.sites[0]) is None:
            return 0
        return pair_macs(case.config) // (case.config.cameras if self.quota == "per_image" else 1)
