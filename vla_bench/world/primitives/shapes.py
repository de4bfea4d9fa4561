"""A household object under construction: boxes that collide, and any shapes that are drawn.

Everything is written with z up and in metres; `Thing` turns it into the frame of LIBERO's own model, whose cans,
cartons and bottles have y up.  What collides is made of boxes: two boxes touch over a whole face, while a
cylinder meets a box in a single point and would rock on a table and slip out of a gripper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from xml.etree import ElementTree as ET

from vla_bench.world.primitives.mjcf import Rgba, Vector, document, element, multiply, quaternion, site, skin, solid

Model = Callable[[], str]
Point = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]

LEVEL: Quaternion = (1.0, 0.0, 0.0, 0.0)
Z_TO_Y = quaternion("x", -90)

WHITE: Rgba = (0.93, 0.93, 0.91, 1)
BLACK: Rgba = (0.07, 0.07, 0.075, 1)
STEEL: Rgba = (0.55, 0.56, 0.58, 1)


def along(start: Vector, end: Vector) -> tuple[Point, float, Quaternion]:
    """Middle, half length, and the shortest turn that lays the z axis from `start` to `end`."""
    step = [b - a for a, b in zip(start, end, strict=False)]
    length = math.hypot(*step)
    x, y, z = (s / length for s in step)
    middle = tuple((a + b) / 2 for a, b in zip(start, end, strict=False))
    if z < -0.999999:
        return middle, length / 2, quaternion("x", 180)
    # The half-way quaternion between the z axis and the direction: (1 + cos, z axis x direction), normalised.
    scale = math.hypot(1 + z, x, y)
    return middle, length / 2, ((1 + z) / scale, -y / scale, x / scale, 0.0)


class Thing:
    """One object in LIBERO's layout: an outer body, `body name="object"`, geoms, and three measuring sites."""

    def __init__(
        self, name: str, mass: float, y_up: bool = False, offset: Vector | None = None, solref: str | None = None
    ) -> None:
        self.mass = mass
        self.y_up = y_up
        self.solref = solref
        self.root = ET.Element("mujoco", model=name)
        # Without a material of their own, robosuite gives drawn geoms a textured one, and half a megabyte with it.
        element(element(self.root, "asset"), "material", name="paint", specular=0.25, shininess=0.3, reflectance=0)
        self.outer = element(element(self.root, "worldbody"), "body")
        self.body = element(self.outer, "body", name="object", pos=offset)
        self.solids: list[tuple[ET.Element, float, float]] = []

    # -- placing -------------------------------------------------------------------------------------------------

    def _place(self, pos: Vector, quat: Quaternion) -> dict[str, Vector | None]:
        if self.y_up:
            x, y, z = pos
            pos, quat = (x, z, -y), multiply(Z_TO_Y, quat)
        return {"pos": pos, "quat": None if quat == LEVEL else quat}

    def solid(self, half: Vector, pos: Vector, quat: Quaternion = LEVEL, share: float = 1) -> None:
        """A box that collides and is not drawn.

        All solids of an object divide its mass by volume; `share` is the part of this one's volume that is its own.
        """
        geom = solid(self.body, "box", half, **self._place(pos, quat))
        self.solids.append((geom, share, 8 * half[0] * half[1] * half[2]))

    def feet(self, spread: float, z: float, radius: float = 0.005) -> None:
        """Four little balls to stand on, their lowest points at height `z`.

        The hotplate is a box one millimetre thick.  A flat bottom that falls on it is through within one step, and two
        boxes that overlap by more than the thinner one no longer push apart; a ball is held until its middle is through.
        """
        for x in (-spread, spread):
            for y in (-spread, spread):
                geom = solid(self.body, "sphere", (radius,), **self._place((x, y, z + radius), LEVEL))
                self.solids.append((geom, 1, 4 / 3 * math.pi * radius**3))

    def skin(self, kind: str, size: Vector, rgba: Rgba, pos: Vector, quat: Quaternion = LEVEL) -> None:
        """A shape that is drawn and does not collide."""
        skin(self.body, kind, size, rgba, material="paint", **self._place(pos, quat))

    def region(self, name: str, size: Vector, pos: Vector, quat: Quaternion | None = None) -> None:
        """A box-shaped site that goal predicates ask about; given in the model's own frame."""
        site(self.body, name, pos, size, kind="box", quat=quat)

    # -- collision shapes ----------------------------------------------------------------------------------------

    def block(self, low: Vector, high: Vector, rgba: Rgba | None = None) -> None:
        """A solid box between two opposite corners, drawn too if it has a colour."""
        half = [(b - a) / 2 for a, b in zip(low, high, strict=False)]
        middle = [(a + b) / 2 for a, b in zip(low, high, strict=False)]
        self.solid(half, middle)
        if rgba is not None:
            self.skin("box", half, rgba, middle)

    def prism(self, radius: float, z0: float, z1: float, sides: int = 8, at: Vector = (0, 0), turn: float = 0) -> None:
        """A solid upright prism of six, eight, ... sides: crossed boxes, each with two of its faces.

        `radius` is the distance of the faces; the first one looks along x, turned by `turn` degrees.
        """
        half = (radius, radius * math.tan(math.pi / sides), (z1 - z0) / 2)
        for k in range(sides // 2):  # together they hold twice the volume of the prism, whatever the number of sides
            self.solid(half, (*at, (z0 + z1) / 2), quaternion("z", turn + 360 / sides * k), share=0.5)

    def beam(self, start: Vector, end: Vector, half_width: float, half_depth: float, rgba: Rgba | None = None) -> None:
        """A solid bar from point to point, such as a handle; the first half size is the one nearest the x axis."""
        middle, half_length, quat = along(start, end)
        self.solid((half_width, half_depth, half_length), middle, quat)
        if rgba is not None:
            self.skin("box", (half_width, half_depth, half_length), rgba, middle, quat)

    def shell(self, foot: Vector, rim: Vector, thickness: float, sides: int = 12, at: Vector = (0, 0)) -> None:
        """A solid, hollow frustum of upright or leaning boxes; `foot` and `rim` are (radius, height) outside."""
        for half, pos, quat in _staves(foot, rim, thickness, sides, at):
            self.solid(half, pos, quat)

    # -- drawn shapes --------------------------------------------------------------------------------------------

    def panel(self, low: Vector, high: Vector, rgba: Rgba) -> None:
        """A drawn box between two opposite corners."""
        self.skin(
            "box",
            [(b - a) / 2 for a, b in zip(low, high, strict=False)],
            rgba,
            [(a + b) / 2 for a, b in zip(low, high, strict=False)],
        )

    def disc(self, radius: float, z0: float, z1: float, rgba: Rgba, at: Vector = (0, 0)) -> None:
        """A drawn upright cylinder."""
        self.skin("cylinder", (radius, (z1 - z0) / 2), rgba, (*at, (z0 + z1) / 2))

    def blob(self, radii: Vector, pos: Vector, rgba: Rgba) -> None:
        """A drawn ellipsoid."""
        self.skin("ellipsoid", radii, rgba, pos)

    def rod(self, *points: Vector, radius: float, rgba: Rgba) -> None:
        """A drawn round bar through the points, with round ends."""
        for start, end in zip(points, points[1:], strict=False):
            middle, half_length, quat = along(start, end)
            self.skin("capsule", (radius, half_length), rgba, middle, quat)

    def cup(self, foot: Vector, rim: Vector, thickness: float, rgba: Rgba, sides: int = 16, at: Vector = (0, 0)) -> None:
        """A drawn, hollow frustum: see `shell`."""
        for half, pos, quat in _staves(foot, rim, thickness, sides, at):
            self.skin("box", half, rgba, pos, quat)

    # -- the model -----------------------------------------------------------------------------------------------

    def xml(self, bottom: float = -0.06, top: float = 0.04, radius: float = 0.025) -> str:
        """The MJCF text; the three numbers place the sites by which LIBERO stacks and spaces objects."""
        density = self.mass / sum(share * volume for _, share, volume in self.solids)
        for geom, share, _ in self.solids:
            geom.set("density", f"{share * density:.3f}")
            if self.solref is not None:
                geom.set("solref", self.solref)
        site(self.outer, "bottom_site", (0, 0, bottom))
        site(self.outer, "top_site", (0, 0, top))
        site(self.outer, "horizontal_radius_site", (radius, radius, 0))
        return document(self.root)


def _staves(foot: Vector, rim: Vector, thickness: float, sides: int, at: Vector) -> Iterator[tuple[Vector, Vector, Quaternion]]:
    """The boxes of a hollow frustum, like the staves of a barrel: half sizes, middle and turn of each.

    The outer faces run from `foot` to `rim`, and a stave that leans outward ends where its inner edge is level with
    the rim.  Its foot is its lowest edge.
    """
    (r0, z0), (r1, z1) = foot, rim
    lean = 0.0
    for _ in range(8):  # the end of the outer face depends on the lean, and the lean on the end
        lean = math.atan2(r1 - r0, z1 - thickness * math.sin(lean) - z0)
    length = (r1 - r0) / math.sin(lean) if lean else z1 - z0
    # From the foot half the length up the outer face, then half the thickness inward.
    r = r0 + length / 2 * math.sin(lean) - thickness / 2 * math.cos(lean)
    z = z0 + length / 2 * math.cos(lean) + thickness / 2 * math.sin(lean)
    half = (thickness / 2, max(r0, r1) * math.tan(math.pi / sides), length / 2)
    for k in range(sides):
        angle = 2 * math.pi * k / sides
        pos = (at[0] + r * math.cos(angle), at[1] + r * math.sin(angle), z)
        yield half, pos, multiply(quaternion("z", math.degrees(angle)), quaternion("y", math.degrees(lean)))
