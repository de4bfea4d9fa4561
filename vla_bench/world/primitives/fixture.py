"""What every articulated object shares: the frame of bodies that robosuite looks for, and the sites it places by."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from vla_bench.world.primitives.mjcf import document, element, site


def open_model(name: str) -> tuple[ET.Element, ET.Element]:
    """The document and its body "object"; robosuite takes the first and prefixes every name in the second."""
    root = ET.Element("mujoco", model=name)
    element(root, "compiler", angle="radian", inertiagrouprange="0 0")
    outer = element(element(root, "worldbody"), "body")
    return root, element(outer, "body", name="object")


def close_model(root: ET.Element, half_height: float = 0.045, radius: float = 0.045, size: float = 0.05) -> str:
    """Add the sites that say how high and how wide the placement samplers take the object to be."""
    outer = root.find("worldbody/body")
    assert outer is not None
    site(outer, "bottom_site", (0, 0, -half_height), (size,))
    site(outer, "top_site", (0, 0, half_height), (size,))
    site(outer, "horizontal_radius_site", (radius, radius, 0), (size,))
    return document(root)
