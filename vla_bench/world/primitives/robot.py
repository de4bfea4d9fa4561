"""The Panda in a few dozen primitives: what is drawn changes, what moves does not.

The official arm, hand and mount are drawn with 170,000 triangles, most of the cost of rendering.  The classes here load the
same files as robosuite's own and swap every drawn mesh for the shapes of `robot_shapes.py` before robosuite names and
indexes the elements; bodies, joints, actuators, inertias, sites, cameras and collision meshes stay as they were, so a
trajectory is the same to the last bit.  Only this file of the pack needs robosuite.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from libero.libero.envs.robots import MountedPanda, OnTheGroundPanda
from robosuite.models.grippers import GRIPPER_MAPPING, PandaGripper
from robosuite.models.mounts import MOUNT_MAPPING, RethinkMount
from robosuite.robots import ROBOT_CLASS_MAPPING, SingleArm

from vla_bench.world.primitives.mjcf import element
from vla_bench.world.primitives.robot_shapes import ARM, HAND, MOUNT, LinkShape

NAME = "LowPolyPanda"
"""What to pass as LIBERO's `robots`; its problems put "Mounted" or "OnTheGround" in front."""

FINISHES = {
    "white": (0.98, 0.98, 0.98, 1),
    "grey": (0.25, 0.25, 0.25, 1),
    "finger": (0.5, 0.5, 0.5, 1),
    "black": (0.14, 0.14, 0.14, 1),
}


def register() -> None:
    """Make the low-poly robot known to robosuite.  The arms themselves are known since this module's import."""
    ROBOT_CLASS_MAPPING.update({f"Mounted{NAME}": SingleArm, f"OnTheGround{NAME}": SingleArm})
    GRIPPER_MAPPING["LowPolyPandaGripper"] = LowPolyPandaGripper
    MOUNT_MAPPING["LowPolyRethinkMount"] = LowPolyRethinkMount


def redraw(worldbody: ET.Element, asset: ET.Element, shapes: dict[str, tuple[LinkShape, ...]]) -> None:
    """Replace all drawn geoms below `worldbody` by `shapes` (by body name) and forget what only they used."""
    for body in worldbody.iter("body"):
        for geom in [g for g in body.findall("geom") if g.get("group") == "1"]:
            body.remove(geom)
        for number, shape in enumerate(shapes.get(body.get("name", ""), ())):
            element(
                body, "geom", name=f"{body.get('name')}_drawn{number}", type=shape.kind, size=shape.size, pos=shape.pos,
                quat=shape.quat, material=shape.finish, group="1", contype="0", conaffinity="0",
            )  # fmt: skip
    used = {geom.get(key) for geom in worldbody.iter("geom") for key in ("mesh", "material")}
    for item in [a for a in asset if a.tag in ("mesh", "material") and a.get("name") not in used]:
        asset.remove(item)
    for finish, rgba in FINISHES.items():
        if finish in used:
            element(asset, "material", name=finish, rgba=rgba, specular="0.5", shininess="0.45")


class Redrawn:
    """Mixin for a robosuite model: its drawn meshes become `shapes`."""

    shapes: dict[str, tuple[LinkShape, ...]]

    def resolve_asset_dependency(self) -> None:
        # The first thing robosuite does with a loaded file, before it names, prefixes and lists the elements.
        redraw(self.worldbody, self.asset, self.shapes)
        super().resolve_asset_dependency()


class MountedLowPolyPanda(Redrawn, MountedPanda):
    """LIBERO's Panda on its pedestal."""

    shapes = ARM
    default_gripper = "LowPolyPandaGripper"
    default_mount = "LowPolyRethinkMount"


class OnTheGroundLowPolyPanda(Redrawn, OnTheGroundPanda):
    """LIBERO's Panda without a pedestal."""

    shapes = ARM
    default_gripper = "LowPolyPandaGripper"


class LowPolyPandaGripper(Redrawn, PandaGripper):
    """The Panda's hand and fingers."""

    shapes = HAND


class LowPolyRethinkMount(Redrawn, RethinkMount):
    """The pedestal under the arm."""

    shapes = MOUNT
