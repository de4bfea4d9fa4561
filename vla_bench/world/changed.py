"""The objects that LIBERO-PRO adds: each is one of LIBERO's in another colour or size.

LIBERO finds an object's class by its kind, and its classes find the model of that name in the asset pack.  hf-libero has no
classes for these kinds; here they are made of the original's.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

QUARTER = (math.pi / 2, math.pi / 2)  # rad


class Change(NamedTuple):
    """like: the kind that it was made of.  colour: its look as a primitive; None for the original's.  scale: of all lengths.

    upright: whether it is placed as LIBERO-PRO's class says, a quarter turn about z, where that is not as the original's.
    """

    like: str
    colour: tuple[float, float, float] | None = None
    scale: float = 1.0
    upright: bool = False


RED, GREEN, BLUE, YELLOW = (0.80, 0.12, 0.10), (0.26, 0.62, 0.12), (0.05, 0.10, 0.85), (0.90, 0.78, 0.20)

# Colours as the meshes are seen, not as their names say: LIBERO-PRO's `black_bowl` differs from LIBERO's by its black rim,
# `white_bottle` is green, `yellow_tomato_sauce` blue, `yellow_plate` white with yellow rings.
CHANGED: dict[str, Change] = {
    "bigger_akita_black_bowl": Change("akita_black_bowl", scale=1.5),
    "bigger_alphabet_soup": Change("alphabet_soup", scale=1.5),
    "black_bowl": Change("akita_black_bowl", (0.12, 0.12, 0.12)),
    "blue_ketchup": Change("ketchup", BLUE, upright=True),
    "brown_rack": Change("wine_rack", (0.36, 0.19, 0.10)),
    "green_bbq_sauce": Change("bbq_sauce", (0.28, 0.40, 0.10)),
    "green_butter": Change("butter", GREEN),
    "green_chocolate_pudding": Change("chocolate_pudding", GREEN),
    "red_basket": Change("basket", (0.82, 0.16, 0.30)),
    "red_cream_cheese": Change("cream_cheese", RED),
    "red_salad_dressing": Change("salad_dressing", RED),
    "white_bottle": Change("wine_bottle", (0.15, 0.62, 0.25)),
    "yellow_cabinet": Change("wooden_cabinet", (0.87, 0.72, 0.44)),
    "yellow_milk": Change("milk", YELLOW, upright=True),
    "yellow_moka_pot": Change("moka_pot", (0.76, 0.58, 0.10)),
    "yellow_plate": Change("plate", (0.93, 0.88, 0.60)),
    "yellow_stove": Change("flat_stove", (0.93, 0.82, 0.52)),
    "yellow_tomato_sauce": Change("tomato_sauce", (0.22, 0.42, 0.52)),
}


def original_kind(kind: str) -> str:
    """The kind that `kind` was made of; itself where it is LIBERO's own."""
    return CHANGED[kind].like if kind in CHANGED else kind


@functools.cache
def register() -> None:
    """Make the kinds known to LIBERO, which must have been imported."""
    from libero.libero.envs.base_object import (
        OBJECTS_DICT,
        VISUAL_CHANGE_OBJECTS_DICT,
        register_object,
        register_visual_change_object,
    )

    for kind, change in CHANGED.items():
        made = _class(kind, change, OBJECTS_DICT[change.like])
        register_object(made)
        if change.like in VISUAL_CHANGE_OBJECTS_DICT:  # its burner glows
            register_visual_change_object(made)


def _class(kind: str, change: Change, original: type) -> type:
    def initialise(self, name: str = kind, obj_name: str = kind, **more):
        original.__init__(self, name=name, obj_name=obj_name, **more)
        if change.upright:
            self.rotation, self.rotation_axis = QUARTER, "z"

    return type(kind.title().replace("_", ""), (original,), {"__init__": initialise})
