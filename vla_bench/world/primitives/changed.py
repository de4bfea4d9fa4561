"""Primitives of the objects that LIBERO-PRO adds, made of the original's model: other colours, other sizes, the same shapes."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from vla_bench.world.changed import CHANGED, Change
from vla_bench.world.primitives.mjcf import vector

LUMINANCE = (0.299, 0.587, 0.114)
DARKEST = 0.55  # of the new colour: what is dark on the original stays darker than the rest
LENGTHS = ("pos", "size")  # attributes in metres


def files(pack: Mapping[str, bytes]) -> dict[str, bytes]:
    """Path -> content, beside those of the embedded pack.  pack: its own files."""
    models = {path.rsplit("/", 1)[-1].removesuffix(".xml"): path for path in pack if path.endswith(".xml")}
    found = {}
    for kind, change in CHANGED.items():
        path = models[change.like]
        found[path.replace(change.like, kind)] = _changed(pack[path], kind, change)
    return found


def _changed(model: bytes, kind: str, change: Change) -> bytes:
    root = ET.fromstring(model)
    root.set("model", kind)
    drawn = [node for node in root.iter("geom") if node.get("group") == "1"]
    if change.colour is not None:
        brightest = max(map(_luminance, drawn))
        for node in drawn:
            shade = DARKEST + (1 - DARKEST) * _luminance(node) / brightest
            node.set("rgba", vector([*(shade * each for each in change.colour), _rgba(node)[3]]))
    if change.scale != 1.0:
        for node in root.iter():
            for key in LENGTHS:
                if key in node.attrib:
                    node.set(key, vector([change.scale * float(each) for each in node.get(key, "").split()]))
    return (ET.tostring(root, encoding="unicode") + "\n").encode()


def _rgba(node: ET.Element) -> list[float]:
    return [float(each) for each in node.get("rgba", "").split()]


def _luminance(node: ET.Element) -> float:
    return sum(weight * each for weight, each in zip(LUMINANCE, _rgba(node), strict=False))
