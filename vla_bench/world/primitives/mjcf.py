"""MJCF written by hand: a few helpers that keep the shapes readable.

The simulator tells two kinds of geom apart by their group, and so does every model of the pack:
group 0 collides and is never drawn, group 1 is drawn and never collides.  `part` writes both from one line.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree as ET

Vector = Sequence[float]
Rgba = tuple[float, float, float, float]

# Contact constants of LIBERO's household objects: stiff contact, high friction, and light (density in kg/m^3).
CONTACT = {
    "solimp": "0.998 0.998 0.001",
    "solref": "0.001 1",
    "density": "100",
    "friction": "0.95 0.3 0.1",
}


def number(value: float) -> str:
    """`value` in at most five significant decimals, so that a pack is the same text on every machine."""
    text = f"{round(value, 5):.5f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def vector(values: Vector) -> str:
    return " ".join(number(v) for v in values)


def element(parent: ET.Element, tag: str, **attributes: object) -> ET.Element:
    """Append `<tag>`; floats and vectors are formatted, `None` is left out, `class_` means `class`."""
    child = ET.SubElement(parent, tag)
    for key, value in attributes.items():
        if value is None:
            continue
        if isinstance(value, str):
            text = value
        elif isinstance(value, (int, float)):
            text = number(value)
        else:
            text = vector(value)  # type: ignore[arg-type]
        child.set(key.rstrip("_"), text)
    return child


def quaternion(axis: str, degrees: float) -> tuple[float, float, float, float]:
    """The rotation by `degrees` about "x", "y" or "z", as w x y z."""
    half = math.radians(degrees) / 2
    w, s = math.cos(half), math.sin(half)
    return (w, s * (axis == "x"), s * (axis == "y"), s * (axis == "z"))


def multiply(a: Vector, b: Vector) -> tuple[float, float, float, float]:
    """The rotation that applies `b` first, then `a` (both w x y z)."""
    aw, ax, ay, az = a
    bw, bx, by, bz = b
    return (
        aw * bw - ax * bx - ay * by - az * bz,
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
    )


def solid(body: ET.Element, kind: str, size: Vector, pos: Vector = (0, 0, 0), quat: Vector | None = None, **more) -> ET.Element:
    """A geom that collides and is not drawn.  Sizes are MuJoCo's half sizes, in metres."""
    return element(
        body, "geom", type=kind, size=size, pos=pos, quat=quat, group="0", rgba="0.8 0.8 0.8 0.3", **{**CONTACT, **more}
    )


def skin(
    body: ET.Element, kind: str, size: Vector, rgba: Rgba, pos: Vector = (0, 0, 0), quat: Vector | None = None, **more
) -> ET.Element:
    """A geom that is drawn and does not collide; it has no mass."""
    return element(
        body,
        "geom",
        type=kind,
        size=size,
        pos=pos,
        quat=quat,
        rgba=rgba,
        group="1",
        contype="0",
        conaffinity="0",
        mass="0",
        **more,
    )


def part(body: ET.Element, kind: str, size: Vector, rgba: Rgba, pos: Vector = (0, 0, 0), quat: Vector | None = None) -> None:
    """What you see is what you hit: one solid and one skin of the same shape."""
    solid(body, kind, size, pos, quat)
    skin(body, kind, size, rgba, pos, quat)


def site(
    body: ET.Element, name: str, pos: Vector, size: Vector = (0.005,), kind: str | None = None, rgba: Rgba = (0, 0, 0, 0), **more
) -> ET.Element:
    return element(body, "site", name=name, type=kind, pos=pos, size=size, rgba=rgba, **more)


def document(root: ET.Element) -> str:
    ET.indent(root, "  ")
    return ET.tostring(root, encoding="unicode") + "\n"
