"""A fixed number of image tokens, the best by some score: single scores, which show what a signal is worth, and random."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vla_bench.interface.config import VLAConfig
from vla_bench.interface.lengths import Case
from vla_bench.interface.needs import Need
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import View
from vla_bench.pruners.budget import best, check, expected_cuts
from vla_bench.pruners.lightvla import lightvla_macs
from vla_bench.pruners.lightvla import scores as lightvla_scores
from vla_bench.pruners.shares import count
from vla_bench.trace import Cut

Quota = Literal["per_image", "global"]
Order = Literal["desc", "asc"]


def seed_of(*parts: object) -> int:
    """A number that depends on all parts and on nothing else."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:7], "big")


def draws(view: View, seed: int, per_step: bool) -> Tensor:
    """U(0, 1) for every image token, (B, V): drawn for each episode and patch, and for each step too if `per_step`."""
    rows = []
    for query in view.queries:
        episode = query.episode and (query.episode.suite, query.episode.task_id, query.episode.init_state, query.episode.repeat)
        generator = torch.Generator().manual_seed(seed_of(seed, episode, query.step if per_step else -1))
        rows.append(torch.rand(view.layout.visual, generator=generator))
    return torch.stack(rows).to(view.patches.ids.device).gather(1, view.patches.ids)


class Ranked(Pruner):
    """Keeps the image tokens that rank highest by some score.

    order: "asc" keeps the lowest instead.
    """

    order: Order = "desc"

    def ranked(self, scores: Tensor) -> Tensor:
        """The scores, or their opposites where the lowest are kept."""
        return scores if self.order == "desc" else -scores


class Scored(Ranked):
    """Keeps the image tokens with the highest `score`; a subclass defines it.  Pruning at the LLM input saves in every layer.

    keep: share, or number above 1, of all image tokens.
    quota: "per_image" keeps as many of every camera.
    order: see `Ranked`.
    """

    sites = (LLM_INPUT,)
    source = "baseline of this toolkit"

    def __init__(self, keep: float = 0.25, quota: Quota = "per_image", order: Order = "desc"):
        super().__init__()
        self.keep, self.quota, self.order = keep, quota, order

    def score(self, view: View) -> Tensor:
        """(B, V), higher is kept."""
        raise NotImplementedError

    def select(self, view: View) -> Selection | None:
        if count(self.keep, view.layout.visual) >= view.layout.visual:
            return None
        scores = check(self.score(view).float(), self.label, view)
        return Selection(best(self.ranked(scores), view, self.keep, self.quota == "per_image"))

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
        return expected_cuts(self, config, self.keep, self.quota == "per_image", kept)


class RandomTokens(Scored):
    """Any image tokens, without replacement.

    seed: with episode, step and patch it decides everything.
    resample: "episode" keeps the same patches for a whole episode, which shows the effect of a lasting loss.
    """

    name = "random"

    def __init__(
        self, keep: float = 0.25, quota: Quota = "per_image", seed: int = 0, resample: Literal["step", "episode"] = "step"
    ):
        super().__init__(keep, quota)
        self.seed, self.per_step = seed, resample == "step"

    def score(self, view: View) -> Tensor:
        return draws(view, self.seed, self.per_step)


class ScoreNorm(Scored):
    """Length of the projected image token."""

    name = "score-norm"

    def score(self, view: View) -> Tensor:
        return view.patches.hidden.float().norm(dim=-1)


class ScoreText(Scored):
    """Cosine between the image token and the mean token of the instruction."""

    name = "score-text"

    def score(self, view: View) -> Tensor:
        tokens, real = view.prompt()
        mean = (tokens.float() * real.unsqueeze(-1)).sum(dim=1) / real.sum(dim=1, keepdim=True)
        return F.cosine_similarity(view.patches.hidden.float(), mean.unsqueeze(1), dim=-1)


class ScoreSiglip(Scored):
    """Attention that a patch receives in SigLIP, the signal of SP-VLA."""

    name = "score-siglip"
    needs = frozenset({Need.VISION_ATTENTION})

    def score(self, view: View) -> Tensor:
        return view.siglip_attention


class ScoreLightVLA(Scored):
    """LightVLA's own scores with a fixed count: their softmax, summed over the queries.

    The difference to LightVLA is what the adaptive number of tokens is worth.
    """

    name = "score-lightvla"

    def score(self, view: View) -> Tensor:
        patches = view.patches
        scores = lightvla_scores(patches.hidden, view.task, view.task_valid).float()
        if patches.valid is None:
            return scores.softmax(dim=-1).sum(dim=1)
        shares = scores.masked_fill(~patches.valid.unsqueeze(1), -math.inf).softmax(dim=-1)
        return (shares * patches.valid.unsqueeze(-1)).sum(dim=1)

    def macs(self, case: Case) -> int:
        return 0 if case.cut(LLM_INPUT) is None else lightvla_macs(case)
