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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
import torch
from torch import Tensor, nn

from vla_bench.model.config import VLAConfig
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
    image_columns: where the image tokens are.
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
    """Image tokens at some place of the model.

    hidden: (B, V, D) their values.
    ids: (B, V) which patch each one is, 0 .. cameras * patches - 1, camera after camera, row-major.
    valid: (B, V) bool, False on tokens that only pad a sample with fewer; None when nothing is padded.
    """

    hidden: Tensor
    ids: Tensor
    valid: Tensor | None = None


class Need(str, Enum):
    """What a pruner must be given beyond the tokens."""

    VISION_ATTENTION = "SigLIP's attention"  # `View.attended`
    PICTURES = "pictures"  # `Query.pictures`
    PATH = "the arm's path"  # `Query.path`
    ACTIONS = "executed actions"  # `Pruner.observe`
    PAST = "keys and values of the last query"  # lets `Selection.reuse` be True


@dataclass(frozen=True)
class Query:
    """Where one sample of a batch comes from; temporal pruners keep their state by `episode`.

    pictures: (cameras, S, S, 3) uint8, what the processor showed before the pixels were normalised.
    path: (n, 3) m, where the gripper was after each action executed since the last query, this moment last.
    """

    episode: EpisodeKey | None = None
    step: int = 0
    pictures: np.ndarray | None = None
    path: np.ndarray | None = None


@dataclass(frozen=True)
class View:
    """What a pruner may see.

    task: (B, T, D) every token behind the image tokens: proprio, prompt, action slots, stop; None at the vision output.
    task_valid: (B, T) bool, False on padding; None when nothing is padded.
    layout: where the spans are.
    queries: one per sample.
    bos: (B, 1, D) the token before the image tokens; None at the vision output.
    rows: the attention rows that the pruner asked for, of layers already run.
    attended: (B, V) attention that each image token receives in SigLIP, mean over heads and queries; for Need.VISION_ATTENTION.
    first_layer: hidden states (B, N, D) -> queries and keys (B, heads, N, d) of decoder layer 0, not rotated.
    past: per sample, whether keys and values of the episode's last query are at hand; for Need.PAST.
    """

    site: Site
    patches: Patches
    layout: Layout
    queries: Sequence[Query]
    task: Tensor | None = None
    task_valid: Tensor | None = None
    bos: Tensor | None = None
    rows: Mapping[Rows, AttentionRows] = field(default_factory=dict)
    attended: Tensor | None = None
    first_layer: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    past: bool = False

    def prompt(self) -> tuple[Tensor, Tensor]:
        """The instruction's tokens (B, T, D), padded, and which of them are real (B, T) bool."""
        proprio, lengths = self.layout.proprio, torch.tensor(self.layout.prompts, device=self.task.device)
        longest = int(max(self.layout.prompts))
        real = torch.arange(longest, device=self.task.device) < lengths.unsqueeze(1)
        return self.task[:, proprio : proprio + longest], real


@dataclass(frozen=True)
class Selection:
    """The image tokens that stay: `keep` (B, V) bool over `view.patches`, any number per sample.

    merged: image tokens made from some of the others; they stand behind those that stay.
    reuse: those that leave are still seen by all others, through the keys and values of the episode's last query.
    """

    keep: Tensor
    merged: Patches | None = None
    reuse: bool = False


@dataclass(frozen=True)
class Resampling:
    """Image tokens remade from the old ones, K a sample, repeats allowed: what differentiable selection gives in training.

    hidden: (B, K, D) new values.  picked: (B, K) the token each one stands for, an index into V, whose position it takes.
    """

    hidden: Tensor
    picked: Tensor


class Pruner(nn.Module):
    """Base of all pruners.  Trainable ones have parameters, saved with the model under `pruner.`

    Parameters of `__init__` with a default are what `--pruner-args` sets; `profiles` names sets of them.
    adaptive: the number of tokens kept depends on the input.
    source: where the method was published.
    renumber: positions count over what is left, as some releases do; otherwise every token keeps its own.
    merges: may return image tokens made from others, `Selection.merged`.
    wraps: works on the choice of another pruner, the first argument of `__init__`.
    resamples: answers with a `Resampling` in training, through which a model learns without parameters of the pruner.
    static: `choose` gives the same choice without waiting for the device, so that it can be part of a recorded pass.
    label: name and arguments, by which runs are told apart.
    """

    name: str
    label: str
    merges: bool = False
    wraps: bool = False
    sites: Sequence[Site]
    rows: Sequence[Rows] = ()
    needs: frozenset[Need] = frozenset()
    adaptive: bool = False
    source: str = ""
    profiles: Mapping[str, Mapping[str, object]] = {}
    renumber: bool = False
    resamples: bool = False
    static: bool = False

    def __init_subclass__(cls, **options: object):
        super().__init_subclass__(**options)
        if "name" in vars(cls):
            cls.label = cls.name

    @property
    def learns(self) -> bool:
        """Whether a training changes what it chooses; asked after `fit`."""
        return self.resamples or next(self.parameters(), None) is not None

    def fit(self, config: VLAConfig) -> None:  # noqa: B027  most fit any model
        """Called once with the model's sizes, before anything is asked.  Raises ModelError where it cannot work there."""

    def reset(self, episode: EpisodeKey) -> None:  # noqa: B027  a pruner without memory needs none
        """A new episode begins: forget everything about an earlier attempt at it."""

    @abstractmethod
    def select(self, view: View) -> Selection | Resampling | None:
        """Which of `view.patches` stay; None for all of them."""

    def choose(self, view: View) -> Tensor:
        """What stays of `view.patches`, (B, V) bool, from the view alone; for pruners that are `static`."""
        raise NotImplementedError(f"{self.name} is not static")

    def after(self, queries: Sequence[Query], rows: Mapping[Rows, AttentionRows]) -> None:  # noqa: B027
        """The decoder has run: `rows` holds all attention that was asked for, that of layers behind the last site too."""

    def instead(self, query: Query) -> np.ndarray | None:
        """Actions (T, 7) to answer with, the model not being asked at all; None to ask it."""
        return None

    def observe(self, query: Query, actions: np.ndarray) -> None:  # noqa: B027
        """The query was answered with these actions (T, 7), as the robot takes them."""


def top_k(scores: Tensor, k: int) -> Tensor:
    """The k largest of each row of (B, V) as a mask; ties go to the smaller index on every device."""
    order = torch.sort(scores, dim=-1, descending=True, stable=True).indices[:, :k]
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(1, order, True)
