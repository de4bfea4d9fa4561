"""What a pruner may need from the model beyond the tokens.  Needs no torch: costs are counted from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vla_bench.interface.layout import Span


@dataclass(frozen=True)
class Rows:
    """A request for attention weights: those of the tokens of `span` over all tokens in decoder layer `layer`.

    Only these rows are computed, from the queries and keys that the layer has anyway; the layer stays on its fast kernel.
    """

    layer: int
    span: Span


class Need(str, Enum):
    """What a pruner needs beyond the tokens."""

    VISION_ATTENTION = "SigLIP's attention"  # `View.siglip_attention`
    IMAGES = "camera images"  # `Query.images`
    PATH = "the arm's path"  # `Query.path`
    ACTIONS = "executed actions"  # `Pruner.observe`
    PAST = "keys and values of the last query"  # lets `Selection.reuse` be True
