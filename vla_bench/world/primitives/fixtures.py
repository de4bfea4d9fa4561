"""The stove and the microwave; the cabinets have their own file."""

from __future__ import annotations

import math
from collections.abc import Callable
from xml.etree import ElementTree as ET

from vla_bench.world.primitives import cabinets
from vla_bench.world.primitives.fixture import close_model, open_model
from vla_bench.world.primitives.mjcf import CONTACT, Rgba, Vector, element, quaternion, site, skin, solid

STEEL: Rgba = (0.5, 0.5, 0.5, 1)
IRON: Rgba = (0.22, 0.22, 0.22, 1)
CHARCOAL: Rgba = (0.2, 0.2, 0.2, 1)
LINING: Rgba = (0.32, 0.32, 0.32, 1)
GLASS: Rgba = (0.4, 0.4, 0.4, 0.25)
BLACK: Rgba = (0.08, 0.08, 0.08, 1)


def flat_stove() -> str:
    """A square plate of 190 mm with a burner, and beside it the knob that turns it on."""
    root, body = open_model("flat_stove")
    asset = ET.Element("asset")
    root.insert(1, asset)
    element(asset, "material", name="brushed", specular="0.9", shininess="0.9")
    base = element(body, "body", name="base", pos=(0, 0, 0))
    burner = element(base, "body", name="burner", pos=(0.15, 0, 0))
    site(burner, "cook_region", (0, 0, 0), (0.075, 0.075, 0.0025), "box", group="0", quat=(1, 0, 0, 0))
    skin(burner, "box", (0.095, 0.095, 0.02), STEEL, name="base_vis", material="brushed")
    plain = dict.fromkeys(CONTACT)  # MuJoCo's own contact constants here, as on the official stove
    solid(burner, "box", (0.095, 0.095, 0.02), name="base", **plain)
    solid(burner, "box", (0.095, 0.095, 0.0005), (0, 0, 0.025), name="collision_burner", **plain)
    _hot_plate(element(burner, "body", name="burner_plate"))
    # Red when the stove is on (LIBERO shows and hides it), so nothing may cover it: it shows between the rings.
    site(burner, "burner", (0, 0, 0.022), (0.0625, 0.0005), "cylinder", rgba=(0.9, 0.05, 0.05, 1))
    _knob(base)
    return close_model(root)


def _hot_plate(body: ET.Element) -> None:
    """A dark disc with a hub and two rings of eight bars standing on it."""
    skin(body, "cylinder", (0.066, 0.0105), IRON, (0, 0, 0.0107), name="burner")
    skin(body, "cylinder", (0.014, 0.0025), LINING, (0, 0, 0.0229))
    for radius in (0.058, 0.036):
        half = radius * math.tan(math.pi / 8)
        for turn in range(0, 360, 45):
            angle = math.radians(turn)
            pos = (radius * math.cos(angle), radius * math.sin(angle), 0.0229)
            skin(body, "box", (0.0055, half, 0.0025), LINING, pos, quaternion("z", turn))


def _knob(base: ET.Element) -> None:
    """A disc with a fin across it; the fin is what a gripper turns."""
    body = element(base, "body", name="button", pos=(0, 0, 0), quat=(0.70711, 0, 0, 0.70711))
    element(body, "inertial", pos=(0, 0, 0), mass="3", diaginertia="1 1 1")
    turn = {"axis": "0 0 1", "limited": "true", "range": (-0.005, 2.1), "damping": "1"}
    element(body, "joint", name="button", type="hinge", pos=(0, 0, 0), **turn)
    solid(body, "cylinder", (0.0477, 0.0062), (0.0013, 0.0044, 0.0066))
    skin(body, "cylinder", (0.0477, 0.0062), BLACK, (0.0013, 0.0044, 0.0066))
    for low, high, top in ((-0.02, 0.052, 0.05), (-0.0407, -0.0202, 0.036)):
        size, pos = (0.0122, (high - low) / 2, (top - 0.0005) / 2), (0.0013, (high + low) / 2, (top + 0.0005) / 2)
        solid(body, "box", size, pos)
        skin(body, "box", size, CHARCOAL, pos)


def microwave() -> str:
    """A dark oven, open at the front (-y), with a glass door hinged on its left and a control panel on its right."""
    root, body = open_model("microwave")
    site(body, "top_side", (0, 0.01, 0.2), (0.12, 0.0835, 0.005), "box", quat=(1, 0, 0, 0))
    site(body, "heating_region", (0, 0.01, 0.096), (0.12, 0.0835, 0.08), "box", quat=(1, 0, 0, 0))
    walls = (
        ((-0.1585, 0.0115, 0.0935), (0.014, 0.0995, 0.0935)),
        ((0.118, 0.0115, 0.0935), (0.0545, 0.0995, 0.0935)),
        ((-0.0405, 0.0957, 0.0935), (0.1035, 0.0149, 0.0933)),
        ((-0.0405, -0.0035, 0.1775), (0.1035, 0.0842, 0.0094)),
        ((-0.0405, -0.0035, 0.012), (0.1035, 0.0842, 0.012)),
        ((0.13, -0.0985, 0.0935), (0.0425, 0.012, 0.0935)),
    )
    for pos, size in walls:
        _wall(body, "box", size, pos, mass="0.5")
        skin(body, "box", size, CHARCOAL, pos)
    _lining(body)
    _panel(body)
    _door(element(body, "body", name="microdoorroot", pos=(-0.1725, -0.088, 0.096)))
    return close_model(root, half_height=0.06, radius=0.015, size=0.005)


def _wall(body: ET.Element, kind: str, size: Vector, pos: Vector, quat: Vector | None = None, mass: str = "0.02") -> None:
    """The oven is hit by others but never hits itself (contype 0), and a little softer than the groceries."""
    solid(
        body, kind, size, pos, quat, mass=mass, conaffinity="1", contype="0", condim="3", margin="0.001",
        solimp="0.8 0.9 0.01", solref="0.02 1", density=None, friction=None,
    )  # fmt: skip


def _lining(body: ET.Element) -> None:
    """A lighter inside, half a millimetre off the walls."""
    for pos, size in (
        ((-0.0405, 0.0800, 0.096), (0.103, 0.0005, 0.0718)),
        ((-0.0405, -0.004, 0.0246), (0.103, 0.084, 0.0005)),
        ((-0.144, -0.004, 0.096), (0.0005, 0.084, 0.0718)),
        ((0.0629, -0.004, 0.096), (0.0005, 0.084, 0.0718)),
    ):
        skin(body, "box", size, LINING, pos)
    skin(body, "cylinder", (0.07, 0.002), (0.68, 0.7, 0.72, 0.9), (-0.0405, -0.005, 0.0275))


def _panel(body: ET.Element) -> None:
    """A green display, two rows of keys and the wide key below them."""
    skin(body, "box", (0.028, 0.001, 0.011), (0.2, 0.5, 0.4, 1), (0.128, -0.1112, 0.158))
    for x in (0.11, 0.128, 0.146):
        for z in (0.122, 0.096):
            skin(body, "box", (0.006, 0.001, 0.008), LINING, (x, -0.1112, z))
    skin(body, "box", (0.032, 0.0015, 0.0093), STEEL, (0.126, -0.1112, 0.021))


def _door(body: ET.Element) -> None:
    """Seen: a frame around a pane, and a bar handle on two short posts.  Hit: one slab and the handle."""
    swing = {"axis": "0 0 1", "limited": "true", "range": (-2.094, 0), "damping": "0.5"}
    element(body, "joint", name="microjoint", type="hinge", **swing)
    for size, pos in (
        ((0.02, 0.0105, 0.091), (0.0205, -0.0125, 0)),
        ((0.0205, 0.0105, 0.091), (0.2380, -0.0125, 0)),
        ((0.0885, 0.0105, 0.0155), (0.129, -0.0125, 0.0755)),
        ((0.0885, 0.0105, 0.0155), (0.129, -0.0125, -0.0755)),
    ):
        skin(body, "box", size, CHARCOAL, pos)
    skin(body, "box", (0.0885, 0.004, 0.06), GLASS, (0.129, -0.0125, 0))
    post = quaternion("x", 90)
    for kind, size, pos, quat in (
        ("capsule", (0.01, 0.065), (0.2375, -0.054, 0), None),
        ("capsule", (0.01, 0.015), (0.2375, -0.0375, 0.065), post),
        ("capsule", (0.01, 0.015), (0.2375, -0.0375, -0.065), post),
    ):
        _wall(body, kind, size, pos, quat)
        skin(body, kind, size, STEEL, pos, quat)
    _wall(body, "box", (0.1295, 0.012, 0.0925), (0.1295, -0.013, 0), mass="0.2")


MODELS: dict[str, Callable[[], str]] = {
    "articulated_objects/flat_stove.xml": flat_stove,
    "articulated_objects/microwave.xml": microwave,
    **cabinets.MODELS,
}
