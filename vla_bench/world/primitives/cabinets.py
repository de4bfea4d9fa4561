"""The two cabinets of three drawers: one shape in two finishes.

The drawers slide towards -y.  Every clearance is a millimetre or two, like the official cabinet's: a drawer carries its
own load, never rubs on the case, and its front stops at the boards, just past the closed position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from vla_bench.world.primitives.fixture import close_model, open_model
from vla_bench.world.primitives.mjcf import Rgba, Vector, element, part, quaternion, site, skin, solid


@dataclass(frozen=True)
class Finish:
    case: Rgba
    top: Rgba
    front: Rgba
    inside: Rgba
    handle: Rgba


WOODEN = Finish(
    case=(0.2, 0.175, 0.155, 1),
    top=(0.24, 0.21, 0.185, 1),
    front=(0.22, 0.19, 0.165, 1),
    inside=(0.3, 0.26, 0.22, 1),
    handle=(0.38, 0.38, 0.38, 1),
)
# Pale enough to look white under three lamps, grey enough not to burn out; the sides get the least light.
WHITE = Finish(
    case=(0.9, 0.9, 0.9, 1),
    top=(0.52, 0.52, 0.52, 1),
    front=(0.6, 0.6, 0.6, 1),
    inside=(0.5, 0.5, 0.5, 1),
    handle=(0.3, 0.3, 0.3, 1),
)

# Level: height of the drawer's underside, of its handle, and of the region's middle that the goals look at.
LEVELS = {"top": (0.1488, 0.184, 0.18563), "middle": (0.0791, 0.1104, 0.1169), "bottom": (0.0105, 0.0412, 0.04701)}


def cabinet(name: str, finish: Finish) -> str:
    """Three drawers in an open-fronted case; its origin is below the case's middle, on the table."""
    root, body = open_model(name)
    base = element(body, "body", name="base", pos=(0, 0, 0))
    site(base, "top_side", (0.00354, 0.01567, 0.22152), (0.12534, 0.09438, 0.00147), "box", group="0", quat=(1, 0, 0, 0))
    _case(base, finish)
    for level, (below, grip, region) in LEVELS.items():
        _drawer(base, level, below, grip, region, finish)
    return close_model(root)


def _board(body: ET.Element, low: Vector, high: Vector, rgba: Rgba) -> None:
    """A box between two corners."""
    size = [(b - a) / 2 for a, b in zip(low, high, strict=True)]
    part(body, "box", size, rgba, [(a + b) / 2 for a, b in zip(low, high, strict=True)])


def _case(base: ET.Element, finish: Finish) -> None:
    left, right, front, back = -0.117, 0.124, -0.079, 0.1117
    _board(base, (left, front, 0.0046), (right, back, 0.0091), finish.case)
    _board(base, (left, front, 0.0095), (-0.1075, back, 0.2199), finish.case)
    _board(base, (0.1142, front, 0.0095), (right, back, 0.2199), finish.case)
    _board(base, (-0.1073, 0.1073, 0.0095), (0.114, 0.1115, 0.2199), finish.case)
    _board(base, (-0.1234, -0.0788, 0.2201), (0.1312, 0.1117, 0.223), finish.top)
    # The boards under the drawers, which also stop the fronts: 2.5 mm behind them when a drawer stands at zero.
    for under in (0.0093, 0.0782, 0.1482):
        _board(base, (-0.1073, -0.0625, under), (0.114, 0.107, under + 0.0022), finish.case)


def _drawer(base: ET.Element, level: str, below: float, grip: float, region: float, finish: Finish) -> None:
    body = element(base, "body", name=f"cabinet_{level}", pos=(0, 0, 0))
    element(body, "inertial", pos=(0, 0, 0), mass="3", diaginertia="1 1 1")
    travel = {"axis": "0 1 0", "limited": "true", "range": (-0.16, 0.01), "damping": "50"}
    element(body, "joint", name=f"{level}_level", type="slide", pos=(0, 0, 0), **travel)
    inside = {"pos": (0.00328, 0.01128, region), "size": (0.02993, 0.07561, 0.10224), "quat": quaternion("y", 90)}
    site(body, f"{level}_region", kind="box", group="0", **inside)
    left, right, back = -0.1045, 0.1115, 0.0943
    floor, wall = below + 0.0024, below + 0.0665
    _board(body, (-0.106, -0.078, below), (0.1127, -0.065, below + 0.0686), finish.front)
    _board(body, (left, -0.0645, floor), (-0.0993, back, wall), finish.inside)
    _board(body, (0.1063, -0.0645, floor), (right, back, wall), finish.inside)
    _board(body, (-0.099, 0.0872, floor), (0.106, back, wall), finish.inside)
    _board(body, (-0.099, -0.0645, floor), (0.106, 0.087, below + 0.0104), finish.inside)
    _handle(body, grip, finish.handle)


def _handle(body: ET.Element, height: float, rgba: Rgba) -> None:
    """A rod of 89 mm on two posts: room behind it for a finger."""
    middle = (-0.0028, -0.1016, height)
    solid(body, "box", (0.0445, 0.0077, 0.0082), middle)
    skin(body, "capsule", (0.008, 0.0365), rgba, middle, quaternion("y", 90))
    for x in (-0.0356, 0.0292):
        solid(body, "box", (0.0053, 0.0105, 0.0055), (x, -0.0835, height))
        skin(body, "box", (0.0053, 0.0105, 0.0055), rgba, (x, -0.0835, height))


MODELS: dict[str, Callable[[], str]] = {
    "articulated_objects/white_cabinet.xml": lambda: cabinet("white_cabinet", WHITE),
    "articulated_objects/wooden_cabinet.xml": lambda: cabinet("wooden_cabinet", WOODEN),
}
