"""LightVLA: every image token makes a query, each query selects one image token, and only these enter the LLM.  No parameters.

Deviations of the published code from the paper's equations, followed here since its checkpoints were trained with them:
* image tokens, task tokens and queries are RMS-normalised (no weight, eps 1e-6) before Eq. 1 and 2;
* H_l of Eq. 1 is every token behind the image tokens as it enters the LLM: proprio, prompt, empty action slots, stop;
* the noise is uniform (see gumbel.py), and duplicates stay in training: Eq. 8 gives as many tokens as there were.
Ours: padding of a batch neither selects nor is selected, so that a sample's result does not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vla_bench.errors import ModelError
from vla_bench.interface.lengths import Case
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Resampling, Selection
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import Patches, View
from vla_bench.pruners.gumbel import add_noise, straight_through

EPS = 1e-6


def rms_norm(x: Tensor) -> Tensor:
    """x / sqrt(mean(x^2) + eps), computed in float32."""
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(dim=-1, keepdim=True) + EPS)).to(x.dtype)


def queries(patches: Tensor, task: Tensor, task_valid: Tensor | None = None) -> Tensor:
    """Eq. 1: one query per image token, from its cross-attention to the task.

    patches (B, V, D) and task (B, T, D), both RMS-normalised -> (B, V, D).
    """
    mask = None if task_valid is None else task_valid.unsqueeze(1)
    return rms_norm(F.scaled_dot_product_attention(patches, task, task, attn_mask=mask))


def scores(patches: Tensor, task: Tensor, task_valid: Tensor | None = None) -> Tensor:
    """Eq. 2: S[i, j] is the score of image token j for query i; |S| <= sqrt(D).

    patches (B, V, D), task (B, T, D), task_valid (B, T) bool -> (B, V, V).
    """
    patches, task = rms_norm(patches), rms_norm(task)
    return queries(patches, task, task_valid) @ patches.mT / math.sqrt(patches.shape[-1])


def winners(scores: Tensor, valid: Tensor | None = None) -> Tensor:
    """Eq. 3: the image tokens that at least one query scores highest, (B, Q, V) -> (B, V) bool; queries not `valid` (B, Q) do
    not count."""
    votes = torch.ones(scores.shape[:2], device=scores.device) if valid is None else valid.float()
    return torch.zeros_like(votes.new_empty(scores.shape[0], scores.shape[2])).scatter_add_(1, scores.argmax(dim=-1), votes) > 0


def lightvla_macs(case: Case) -> int:
    """Cross-attention of all image tokens to the task tokens, and all scores."""
    visual, task = case.config.visual_tokens, case.others - 1
    return visual * case.config.llm.width * (2 * task + visual)


class LightVLA(Pruner):
    """The pruner of the paper.  In training it resamples (Eq. 4 to 8), otherwise it keeps the winners (Eq. 3).

    noise_scale, draw, once: see `Pruner`; alpha of the noise, what draws it, and training steps that keep every winner once.
    mask_padding: False lets padding take part as in the reference, whose batches are not independent.
    positions: "contiguous" counts 0, 1, 2, ... over what is left, as an engine does that is given embeddings without positions.
    """

    name = "lightvla"
    sites = (LLM_INPUT,)
    adaptive = True
    resamples = True
    static = True
    source = "LightVLA, arXiv 2509.12594; Promisery/LightVLA"

    def __init__(
        self,
        noise_scale: float | None = None,
        draw: Callable[[Tensor], Tensor] = torch.rand_like,
        mask_padding: bool = True,
        positions: Literal["keep", "contiguous"] = "keep",
    ):
        super().__init__()
        self.noise_scale = noise_scale
        self.draw = draw
        self.mask_padding = mask_padding
        self.renumber = positions == "contiguous"

    def select(self, view: View) -> Selection | Resampling:
        table = self._scores(view)
        if self.training and not self.once:
            return self._resample(table, view.patches)
        if not table.is_meta and table.isnan().any():
            raise ModelError(f"{self.name} at {view.site}: the scores are not finite", "vla-bench verify")
        return Selection(winners(table, view.patches.valid))

    def choose(self, view: View) -> Tensor:
        """`select` without its check of the scores, which waits for the device; a NaN shows in the actions."""
        return winners(self._scores(view), view.patches.valid)

    def _scores(self, view: View) -> Tensor:
        patches = view.patches
        table = scores(patches.hidden, view.task, view.task_valid if self.mask_padding else None)
        return table if patches.valid is None else table.masked_fill(~patches.valid.unsqueeze(1), -math.inf)

    def _resample(self, table: Tensor, patches: Patches) -> Resampling:
        if self.noise_scale is not None:
            table = add_noise(table, self.draw(table), self.noise_scale)
        indicator, selected = straight_through(table)
        return Resampling(indicator.to(patches.hidden.dtype) @ patches.hidden, selected)  # Eq. 8

    def macs(self, case: Case) -> int:
        return lightvla_macs(case)
