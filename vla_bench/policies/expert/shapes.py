"""Sizes and grasp points of objects, per category: all geometry that the expert uses.

Sizes in m, measured on the collision shapes in the frame of an object's body; they are valid for every asset pack.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from vla_bench.policies.expert.motions import about_z
from vla_bench.world.changed import CHANGED
from vla_bench.world.observation import Pose, Scene


class Hold(Enum):
    """Types of grasps."""

    ACROSS = "across"  # between two opposite faces
    ROUND = "round"  # across a cylinder, from any side
    RIM = "rim"  # one finger inside, one outside
    EDGE = "edge"  # the same for a dish that is too flat to be lifted: it slides
    HANDLE = "handle"  # across its handle
    NONE = "none"  # never grasped


@dataclass(frozen=True)
class BoundingShape:
    """A box around the object: `half` sizes about `centre`, both in the body's frame."""

    half: tuple[float, float, float]
    centre: tuple[float, float, float] = (0.0, 0.0, 0.0)
    hold: Hold = Hold.NONE
    axis: int = 2  # of the cylinder
    rim: float = 0.0  # radius of the upper edge, at the middle of the wall
    rim_at: tuple[float, float] = (0.0, 0.0)  # centre of the rim, in the body's frame
    handle: tuple[float, float, float] = (0.0, 0.0, 0.0)  # grasp point on the handle
    across: int = 0  # the body's axis along which the fingers close around the handle
    handle_lean: float = 0.0  # rad by which the hand then leans away from the object
    lean: float = 0.0  # rad by which the wall below the rim leans outward
    seat: float = 0.0  # height above its origin at which other objects stand on it or in it

    def corners(self, pose: Pose) -> np.ndarray:
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        return pose.pos + (np.array(self.centre) + signs * self.half) @ pose.mat.T

    def heights(self, pose: Pose) -> tuple[float, float]:
        """Lowest and highest point of the box in the world."""
        z = self.corners(pose)[:, 2]
        return float(z.min()), float(z.max())

    def middle(self, pose: Pose) -> np.ndarray:
        return pose.pos + pose.mat @ np.array(self.centre)

    def distance(self, pose: Pose, points: np.ndarray) -> np.ndarray:
        """Distance (n,) of `points` (n, 3) from the box; 0 inside."""
        inside = (points - pose.pos) @ pose.mat - np.array(self.centre)
        return np.linalg.norm(np.maximum(np.abs(inside) - self.half, 0.0), axis=1)


_CAN = BoundingShape((0.031, 0.038, 0.031), (0.0, 0.0, -0.003), Hold.ROUND, axis=1)
_CARTON = BoundingShape((0.0265, 0.0655, 0.026), (0.0, -0.0045, 0.0), Hold.ACROSS)
_CABINET = BoundingShape((0.127, 0.110, 0.109), (0.004, 0.0015, 0.114))

SHAPES: dict[str, BoundingShape] = {
    "alphabet_soup": _CAN,
    "tomato_sauce": _CAN,
    "milk": _CARTON,
    "orange_juice": _CARTON,
    "salad_dressing": BoundingShape((0.026, 0.073, 0.018), hold=Hold.ACROSS),
    "ketchup": BoundingShape((0.0285, 0.0725, 0.0185), hold=Hold.ACROSS),
    "bbq_sauce": BoundingShape((0.023, 0.015, 0.0535), (0.0, 0.0, -0.0015), Hold.ACROSS),
    "cream_cheese": BoundingShape((0.041, 0.021, 0.009), hold=Hold.ACROSS),
    "butter": BoundingShape((0.038, 0.020, 0.009), hold=Hold.ACROSS),
    "chocolate_pudding": BoundingShape((0.041, 0.023, 0.0135), hold=Hold.ACROSS),
    "cookies": BoundingShape((0.031, 0.041, 0.009), hold=Hold.ACROSS),
    "wine_bottle": BoundingShape((0.022, 0.022, 0.079), (0.0, 0.0, 0.080), Hold.ROUND),
    "akita_black_bowl": BoundingShape((0.0535, 0.0535, 0.025), (0.0, 0.0, 0.027), Hold.RIM, rim=0.0515, lean=0.34, seat=0.012),
    "glazed_rim_porcelain_ramekin": BoundingShape((0.045, 0.045, 0.021), (0.0, 0.0, 0.022), Hold.RIM, rim=0.042),
    "porcelain_mug": BoundingShape(
        (0.063, 0.048, 0.053),
        (-0.0025, -0.001, 0.0555),
        Hold.RIM,
        rim=0.0455,
        rim_at=(0.0125, -0.001),
        lean=0.1,
        handle=(-0.055, -0.001, 0.070),
        across=1,
        handle_lean=0.6,
    ),
    "red_coffee_mug": BoundingShape(
        (0.062, 0.047, 0.066),
        (0.0005, -0.0005, 0.0645),
        Hold.RIM,
        rim=0.044,
        rim_at=(-0.0155, -0.0005),
        lean=0.1,
        handle=(0.053, -0.0005, 0.085),
        across=1,
        handle_lean=0.6,
    ),
    "white_yellow_mug": BoundingShape(
        (0.070, 0.053, 0.0515),
        (-0.0015, 0.0, 0.0515),
        Hold.RIM,
        rim=0.0495,
        rim_at=(-0.0183, 0.0),
        lean=0.14,
        handle=(0.060, 0.0, 0.076),
        across=1,
        handle_lean=0.6,
    ),  # fmt: skip
    "moka_pot": BoundingShape((0.041, 0.0735, 0.076), (0.0, 0.0175, 0.010), Hold.HANDLE, handle=(0.0, 0.074, 0.050)),
    "black_book": BoundingShape((0.0145, 0.055, 0.0675), (-0.0005, -0.012, 0.0695), Hold.ACROSS),
    "desk_caddy": BoundingShape((0.075, 0.217, 0.0835), (0.0, 0.0, 0.0845)),
    "chefmate_8_frypan": BoundingShape((0.178, 0.102, 0.029), (0.081, -0.001, 0.030)),
    "wine_rack": BoundingShape((0.134, 0.1265, 0.165), (0.0, 0.0025, 0.163)),
    "microwave": BoundingShape((0.206, 0.111, 0.0945), (-0.033, 0.0, 0.0945), seat=0.024),
    "plate": BoundingShape((0.069, 0.069, 0.0095), (0.0, 0.0, 0.0065), Hold.EDGE, rim=0.064, seat=0.003),
    "basket": BoundingShape((0.085, 0.079, 0.071), (0.0, 0.0, 0.075)),
    "wooden_cabinet": _CABINET,
    "white_cabinet": _CABINET,
    "flat_stove": BoundingShape((0.149, 0.095, 0.012), (0.0965, 0.0, -0.008), seat=0.0255),
}


HINGE = np.array([-0.1725, -0.088, 0.0])  # of the microwave's door, in the microwave's frame
DOOR = BoundingShape((0.1295, 0.032, 0.0925), (0.1295, -0.033, 0.096))  # from its hinge, closed


def shape_of(scene: Scene, name: str) -> BoundingShape | None:
    kind = scene.facts.categories.get(name, "")
    return SHAPES.get(kind) or _changed_shape(kind)


@functools.cache
def _changed_shape(kind: str) -> BoundingShape | None:
    """That of an object of LIBERO-PRO: the original's, scaled."""
    change = CHANGED.get(kind)
    if change is None or change.like not in SHAPES:
        return None
    own = SHAPES[change.like]
    lengths = ("half", "centre", "rim", "rim_at", "handle", "seat")
    return replace(own, **{name: _times(change.scale, getattr(own, name)) for name in lengths})


def _times(scale: float, length: float | tuple[float, ...]) -> float | tuple[float, ...]:
    return tuple(scale * each for each in length) if isinstance(length, tuple) else scale * length


def obstacles(scene: Scene, *without: str) -> list[tuple[BoundingShape, Pose]]:
    """All objects of known shape except `without`, doors, and open drawers except those that contain `without`."""
    shapes = [(shape, pose) for name, pose in scene.bodies.items() if name not in without and (shape := shape_of(scene, name))]
    inside = np.array([scene.bodies[name].pos for name in without]).reshape(-1, 3)
    shapes += doors(scene)
    return shapes + [drawer for drawer in open_drawers(scene) if not np.any(drawer[0].distance(drawer[1], inside) == 0.0)]


def doors(scene: Scene) -> list[tuple[BoundingShape, Pose]]:
    """The microwave's door with its handle, at its present angle."""
    shapes = []
    for name, joints in scene.facts.joint_regions.items():
        if scene.facts.categories.get(name) == "microwave":
            body = scene.bodies[name]
            shapes.append((DOOR, Pose(body.pos + body.mat @ HINGE, body.mat @ about_z(scene.joints[joints[0]]))))
    return shapes


def open_drawers(scene: Scene) -> list[tuple[BoundingShape, Pose]]:
    """The boxes of the drawers that are open by more than 5 cm."""
    return [
        (BoundingShape(tuple(scene.facts.region_sizes[region] + 0.01)), scene.sites[region])
        for region, joints in scene.facts.joint_regions.items()
        if region in scene.sites and region in scene.facts.regions and scene.joints[joints[0]] < -0.05
    ]


def top_between(scene: Scene, start: np.ndarray, end: np.ndarray, wide: float, *without: str) -> float:
    """Height in m of the highest obstacle on the line from `start` to `end`, within `wide` m of it; -inf for none."""
    line = start[:2] + np.linspace(0.0, 1.0, 25)[:, None] * (end[:2] - start[:2])
    highest = -np.inf
    for shape, pose in obstacles(scene, *without) + open_drawers(
        scene
    ):  # the drawer that contains an object is an obstacle to lifting it, too
        top = shape.heights(pose)[1]
        points = np.column_stack([line, np.full(len(line), shape.middle(pose)[2])])
        if shape.distance(pose, points).min() < wide:
            highest = max(highest, top)
    return highest
