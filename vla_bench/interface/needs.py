"""What a pruner may ask of the model beyond the tokens.  Without torch, for costs follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vla_bench.interface.layout import Span


@dataclass(frozen=True)
class Rows:
    """A request for attention weights: what the tokens of `span` pay to every token in decoder layer `layer`.

    Only these rows are computed, from the queries and keys that the layer has anyway; the layer stays on its fast kernel.
    """

    layer: int
    span: Span


class Need(str, Enum):
    """What a pruner must be given beyond the tokens."""

    VISION_ATTENTION = "SigLIP's attention"  # `View.attended`
    PICTURES = "pictures"  # `Query.pictures`
    PATH = "the arm's path"  # `Query.path`
    ACTIONS = "executed actions"  # `Pruner.observe`
    PAST = "keys and values of the last query"  # lets `Selection.reuse` be True
