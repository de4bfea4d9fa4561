"""Pruning sites: the places of the model where image tokens can leave."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Place(str, Enum):
    """The three places where image tokens can be dropped."""

    VISION = "vision output"  # features of both ViTs, before the projector
    LLM_INPUT = "LLM input"  # projected patches, before decoder layer 0
    LAYER = "before layer"


@dataclass(frozen=True)
class Site:
    """A pruning site; `layer` counts from 0 and matters for `Place.LAYER` only.  "After layer k" is before layer k + 1."""

    place: Place
    layer: int = 0

    def __str__(self) -> str:
        return f"{self.place.value} {self.layer}" if self.place is Place.LAYER else self.place.value

    @property
    def order(self) -> tuple[int, int]:
        """Sites of one pass sort by it."""
        return list(Place).index(self.place), self.layer

    @classmethod
    def parse(cls, text: str) -> Site:
        """The inverse of `str`.  Raises ValueError."""
        words, _, layer = text.rpartition(" ")
        return cls(Place.LAYER, int(layer)) if words == Place.LAYER.value else cls(Place(text))


VISION = Site(Place.VISION)
LLM_INPUT = Site(Place.LLM_INPUT)


def before_layer(layer: int) -> Site:
    return Site(Place.LAYER, layer)
