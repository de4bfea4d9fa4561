"""What a pruner returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from vla_bench.interface.view import Patches


@dataclass(frozen=True)
class Selection:
    """The image tokens that stay: `keep` (B, V) bool over `view.patches`, any number per sample.

    merged: image tokens made from some of the others, each with the id of another patch; they stand behind those that stay.
    reuse: those that leave are still seen by all others, through the keys and values of the episode's last query.
    measures: (B,) numbers by name that are worth recording with each query, such as how sure the choice was.
    """

    keep: Tensor
    merged: Patches | None = None
    reuse: bool = False
    measures: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Resampling:
    """Image tokens remade from the old ones, K a sample, repeats allowed: what differentiable selection gives in training.

    hidden: (B, K, D) new values.  selected: (B, K) the token each one stands for, an index into V, whose position it takes.
    """

    hidden: Tensor
    selected: Tensor
