"""The five rooms of the four suites: floor, walls, lights, cameras, and the table that the task happens on.

LIBERO's arena classes look up the floor, the table's body, geoms and site, the legs, and the two textures `texplane`
and `tex-wall` by name, and set sizes and file names on them; the numbers written here for those are placeholders.
The furniture behind the robot is in `furniture.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree as ET

from vla_bench.world.primitives import furniture
from vla_bench.world.primitives.mjcf import document, element, site

FLOOR = "tile_grigia_caldera_porcelain_floor"
WALL = "light-gray-plaster"


def floor() -> str:
    """Nothing but the floor (LIBERO-Object)."""
    root, world = _room("wood_table", floor_in_body=True)
    _walls(world, corners=True)
    return document(root)


def tabletop() -> str:
    """A light wooden table in an empty room (LIBERO-Spatial, LIBERO-Goal)."""
    root, world = _room("wood_table")
    _walls(world, corners=True)
    _table(world)
    return document(root)


def kitchen() -> str:
    """The same table in front of a kitchen counter."""
    root, world = _room("wood_table")
    furniture.kitchen_counter(root.find("asset"), world)
    element(
        world, "light", name="light_kitchen", directional="true", pos=(-1.75, 0, 1.6), dir=(0, 0, -1), castshadow="false",
        diffuse=(0.8, 0.8, 0.8), specular=(0.8, 0.8, 0.8),
    )  # fmt: skip
    _walls(world, corners=False)
    _table(world)
    return document(root)


def living_room() -> str:
    """A low walnut table with rounded corners; the robot stands on the table itself."""
    root, world = _room("wood_walnut", floor_in_body=True)
    furniture.coffee_table(world)
    furniture.wall_unit(world)
    _walls(world, corners=True)
    return document(root)


def study() -> str:
    """A wide desk, with a bookshelf and a plant behind the robot."""
    root, world = _room("wood_desk")
    furniture.desk(world)
    furniture.plant(world)
    furniture.bookshelf(world)
    _walls(world, corners=True)
    return document(root)


def _room(wood: str, floor_in_body: bool = False) -> tuple[ET.Element, ET.Element]:
    """Materials, lights, cameras and floor.  Nothing reflects: one reflecting surface would draw the scene twice."""
    root = ET.Element("mujoco", model="arena")
    asset = element(root, "asset")
    sky = {"rgb1": (0.9, 0.9, 1), "rgb2": (0.2, 0.3, 0.4), "width": "16", "height": "16"}
    element(asset, "texture", type="skybox", builtin="gradient", **sky)
    repeated = {"texrepeat": "3 3", "texuniform": "true"}
    element(asset, "texture", name="texplane", type="2d", file=f"../textures/{FLOOR}.png")
    element(asset, "material", name="floorplane", texture="texplane", specular="0", shininess="0", **repeated)
    element(asset, "texture", name="tex-wall", type="2d", file=f"../textures/{WALL}.png")
    element(asset, "material", name="walls_mat", texture="tex-wall", specular="0.8", shininess="0.1", **repeated)
    element(asset, "texture", name="tex-table", type="cube", file=f"../textures/{wood}.png")
    element(asset, "material", name="table_texture", texture="tex-table", specular="0.2", shininess="0")
    world = element(root, "worldbody")
    parent = element(world, "body", name="floor", pos=(0, 0, 0)) if floor_in_body else world
    plane = {"pos": (0, 0, 0), "size": (3, 3, 0.25), "condim": "3", "group": "1", "material": "floorplane"}
    element(parent, "geom", name="floor", type="plane", **plane)
    for name, pos in (("light1", (1, 1, 4)), ("light2", (-3, -3, 4))):
        element(
            world, "light", name=name, directional="false", pos=pos, dir=(0, -0.15, -1), castshadow="false",
            diffuse=(0.8, 0.8, 0.8), specular=(0.3, 0.3, 0.3),
        )  # fmt: skip
    for name, pos, quat in CAMERAS:
        element(world, "camera", mode="fixed", name=name, pos=pos, quat=quat)
    return root, world


def _walls(world: ET.Element, corners: bool) -> None:
    """Four walls 3 m high; where LIBERO cuts the two corners behind the robot, so does this."""
    along, across = (0.7071, 0.7071, 0, 0), (0.5, 0.5, 0.5, 0.5)
    if corners:
        tilt = (0.65328, 0.65328, 0.2706, 0.2706)
        _wall(world, "leftcorner", (-1.25, 2.25, 1.5), tilt, 1.06)
        _wall(world, "rightcorner", (-1.25, -2.25, 1.5), (tilt[0], tilt[1], -tilt[2], -tilt[3]), 1.06)
    middle, half = (1.25, 1.75) if corners else (0.5, 2.5)
    _wall(world, "left", (middle, 3, 1.5), along, half)
    _wall(world, "right", (middle, -3, 1.5), (0.7071, -0.7071, 0, 0), half)
    _wall(world, "rear", (-2, 0, 1.5), across, 1.5 if corners else 3)
    _wall(world, "front", (3, 0, 1.5), (0.5, 0.5, -0.5, -0.5), 3)


def _wall(world: ET.Element, name: str, pos: tuple[float, ...], quat: tuple[float, ...], half: float) -> None:
    element(
        world, "geom", name=f"wall_{name}_visual", type="box", pos=pos, quat=quat, size=(half, 1.5, 0.01),
        contype="0", conaffinity="0", group="1", material="walls_mat",
    )  # fmt: skip


def _table(world: ET.Element) -> None:
    """The table whose size and place LIBERO writes in."""
    body = element(world, "body", name="table", pos=(0, 0, 0.4))
    size = (0.4, 0.4, 0.4)
    element(body, "geom", name="table_collision", type="box", pos=(0, 0, 0), size=size, group="0", friction="1 0.005 0.0001")
    drawn = {"contype": "0", "conaffinity": "0", "group": "1", "material": "table_texture"}
    element(body, "geom", name="table_visual", type="box", pos=(0, 0, 0), size=size, **drawn)
    site(body, "table_top", (0, 0, 0.4), (0.001, 0.001, 0.001))
    for leg in range(1, 5):
        element(body, "geom", name=f"table_leg{leg}_visual", type="cylinder", pos=(0, 0, 0), size=(0.05, 0.1), **drawn)


# LIBERO moves agentview and frontview to where each problem wants them.
CAMERAS = (
    ("frontview", (1, 0, 1.45), (0.56, 0.43, 0.43, 0.56)),
    ("birdview", (-0.2, 0, 3), (0.7071, 0, 0, 0.7071)),
    ("agentview", (0.5, 0, 1.35), (0.653, 0.271, 0.271, 0.653)),
    ("sideview", (-0.05652, 1.27612, 1.48796), (0.00991, 0.00688, 0.59122, 0.80642)),
)

MODELS: dict[str, Callable[[], str]] = {
    "scenes/libero_floor_base_style.xml": floor,
    "scenes/libero_tabletop_base_style.xml": tabletop,
    "scenes/libero_kitchen_tabletop_base_style.xml": kitchen,
    "scenes/libero_living_room_tabletop_base_style.xml": living_room,
    "scenes/libero_study_base_style.xml": study,
}
