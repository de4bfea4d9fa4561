"""What a pruner receives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from vla_bench.errors import ModelError
from vla_bench.interface.layout import Layout
from vla_bench.interface.needs import Rows
from vla_bench.interface.sites import Site
from vla_bench.records import EpisodeKey


@dataclass(frozen=True)
class AttentionRows:
    """The attention weights that a `Rows` request returns.

    weights: (B, heads, R, N) after the softmax, over the tokens present in that layer, in float32.
    valid: (B, R) bool, False on rows that only pad a shorter prompt; None when there are none.
    image_columns: the columns of the image tokens.
    at: (B, R) and (B, N) positions of rows and columns.
    """

    weights: Tensor
    valid: Tensor | None
    image_columns: range = range(0)
    at: tuple[Tensor, Tensor] | None = None

    def mean(self) -> Tensor:
        """Mean over heads and rows: (B, N)."""
        return self.average(self.weights.mean(dim=1))

    def average(self, rows: Tensor) -> Tensor:
        """Mean over the valid ones of (B, R, N): (B, N)."""
        if self.valid is None:
            return rows.mean(dim=1)
        weight = self.valid.unsqueeze(-1).to(rows.dtype)
        return (rows * weight).sum(dim=1) / weight.sum(dim=1)

    def images(self) -> Tensor:
        """`mean()` over the image tokens' columns alone: (B, V)."""
        return self.mean()[:, self.image_columns.start : self.image_columns.stop]


@dataclass(frozen=True)
class Patches:
    """Image tokens at one place of the model.

    hidden: (B, V, D) their values.
    ids: (B, V) which patch each one is, 0 .. cameras * patches - 1, camera after camera, row-major.
    valid: (B, V) bool, False on tokens that only pad a sample with fewer; None when nothing is padded.
    merged: (B, V) bool, True on tokens that were made of several; None when none was.
    """

    hidden: Tensor
    ids: Tensor
    valid: Tensor | None = None
    merged: Tensor | None = None


@dataclass(frozen=True)
class Query:
    """Where one sample of a batch comes from; temporal pruners keep their state by `episode`.

    images: (cameras, S, S, 3) uint8, the camera images as prepared for the model, before normalisation.
    path: (n, 3) m, the gripper's position after each action executed since the last query, the present one last.
    """

    episode: EpisodeKey | None = None
    step: int = 0
    images: np.ndarray | None = None
    path: np.ndarray | None = None


@dataclass(frozen=True)
class View:
    """The tokens at one site, and what else the pruner needs.

    task: (B, T, D) every token behind the image tokens: proprio, prompt, action slots, stop; None at the vision output.
    task_valid: (B, T) bool, False on padding; None when nothing is padded.
    layout: where the spans are.
    queries: one per sample.
    bos: (B, 1, D) the token before the image tokens; None at the vision output.
    rows: the attention rows that the pruner requests, of layers already run.
    siglip_attention: (B, V) attention that each image token receives in SigLIP, mean over heads and query rows; for
        Need.VISION_ATTENTION.
    first_layer: hidden states (B, N, D) -> queries and keys (B, heads, N, d) of decoder layer 0, not rotated.
    has_cache: whether keys and values of the episode's last query are stored; for Need.PAST.
    """

    site: Site
    patches: Patches
    layout: Layout
    queries: Sequence[Query]
    task: Tensor | None = None
    task_valid: Tensor | None = None
    bos: Tensor | None = None
    rows: Mapping[Rows, AttentionRows] = field(default_factory=dict)
    siglip_attention: Tensor | None = None
    first_layer: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    has_cache: bool = False

    def prompt(self) -> tuple[Tensor, Tensor]:
        """The instruction's tokens (B, T, D), padded, and which of them are real (B, T) bool.

        Raises ModelError at the vision output, where there is no instruction yet.
        """
        if self.task is None:
            raise ModelError(
                f"a pruner reads the instruction at the {self.site}", "give it the site LLM_INPUT or before_layer(N)"
            )
        proprio, lengths = self.layout.proprio, torch.tensor(self.layout.prompts, device=self.task.device)
        longest = int(max(self.layout.prompts))
        real = torch.arange(longest, device=self.task.device) < lengths.unsqueeze(1)
        return self.task[:, proprio : proprio + longest], real
