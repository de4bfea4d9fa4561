"""What a pruner is: a small object that sees the tokens at one place of the model and says which image tokens stay.

    class KeepFirst(Pruner):
        sites = (LLM_INPUT,)

        def select(self, view: View) -> Selection:
            keep = torch.zeros_like(view.patches.ids, dtype=torch.bool)
            keep[:, :64] = True
            return Selection(keep)

The model gathers, pads, masks and keeps every token's original position; a pruner never touches it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import torch
from torch import Tensor, nn

from vla_bench.model.layout import Layout, Span
from vla_bench.records import EpisodeKey


class Place(str, Enum):
    """The three places where image tokens can be dropped."""

    VISION = "vision output"  # features of both ViTs, before the projector
    LLM_INPUT = "LLM input"  # projected patches, before decoder layer 0
    LAYER = "before layer"


@dataclass(frozen=True)
class Site:
    """A place; `layer` counts from 0 and matters for `Place.LAYER` only.  "After layer k" is before layer k + 1."""

    place: Place
    layer: int = 0

    def __str__(self) -> str:
        return f"{self.place.value} {self.layer}" if self.place is Place.LAYER else self.place.value


VISION = Site(Place.VISION)
LLM_INPUT = Site(Place.LLM_INPUT)


def before_layer(layer: int) -> Site:
    return Site(Place.LAYER, layer)


@dataclass(frozen=True)
class Rows:
    """A request for attention weights: what the tokens of `span` pay to every token in decoder layer `layer`.

    Only these rows are computed, from the queries and keys that the layer has anyway; the layer stays on its fast kernel.
    """

    layer: int
    span: Span


@dataclass(frozen=True)
class AttentionRows:
    """The answer to a `Rows` request.

    weights: (B, heads, R, N) after the softmax, over the tokens present in that layer, in float32.
    valid: (B, R) bool, False on rows that only pad a shorter prompt; None when there are none.
    """

    weights: Tensor
    valid: Tensor | None

    def mean(self) -> Tensor:
        """Mean over heads and rows: (B, N)."""
        rows = self.weights.mean(dim=1)
        if self.valid is None:
            return rows.mean(dim=1)
        weight = self.valid.unsqueeze(-1).to(rows.dtype)
        return (rows * weight).sum(dim=1) / weight.sum(dim=1)


@dataclass(frozen=True)
class Patches:
    """Image tokens at some place of the model.

    hidden: (B, V, D) their values.
    ids: (B, V) which patch each one is, 0 .. cameras * patches - 1, camera after camera, row-major.
    valid: (B, V) bool, False on tokens that only pad a sample with fewer; None when nothing is padded.
    """

    hidden: Tensor
    ids: Tensor
    valid: Tensor | None = None


@dataclass(frozen=True)
class Query:
    """Where one sample of a batch comes from; temporal pruners keep their state by `episode`."""

    episode: EpisodeKey | None = None
    step: int = 0


@dataclass(frozen=True)
class View:
    """What a pruner may see.

    task: (B, T, D) every token behind the image tokens: proprio, prompt, action slots, stop; None at the vision output.
    task_valid: (B, T) bool, False on padding; None when nothing is padded.
    layout: where the spans are.
    queries: one per sample.
    rows: the attention rows that the pruner asked for, of layers already run.
    """

    site: Site
    patches: Patches
    layout: Layout
    queries: Sequence[Query]
    task: Tensor | None = None
    task_valid: Tensor | None = None
    rows: Mapping[Rows, AttentionRows] = field(default_factory=dict)


@dataclass(frozen=True)
class Selection:
    """The image tokens that stay: `keep` (B, V) bool over `view.patches`, any number per sample."""

    keep: Tensor


@dataclass(frozen=True)
class Resampling:
    """Image tokens remade from the old ones, K a sample, repeats allowed: what differentiable selection gives in training.

    hidden: (B, K, D) new values.  picked: (B, K) the token each one stands for, an index into V, whose position it takes.
    """

    hidden: Tensor
    picked: Tensor


class Pruner(nn.Module):
    """Base of all pruners.  Trainable ones have parameters, saved with the model under `pruner.`"""

    name: str
    sites: Sequence[Site]
    rows: Sequence[Rows] = ()

    def reset(self, episode: EpisodeKey) -> None:  # noqa: B027  a pruner without memory needs none
        """A new episode begins: forget everything about an earlier attempt at it."""

    @abstractmethod
    def select(self, view: View) -> Selection | Resampling | None:
        """Which of `view.patches` stay; None for all of them."""


def top_k(scores: Tensor, k: int) -> Tensor:
    """The k largest of each row of (B, V) as a mask; ties go to the smaller index on every device."""
    order = torch.sort(scores, dim=-1, descending=True, stable=True).indices[:, :k]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, order, True)
