"""The tables of two arenas, and what stands behind the robot in three of them.

Only a strip of the background is ever seen: from the agent's camera the rear wall shows up to 0.8 m in the kitchen,
0.9 m in the study and 0.5 m in the living room.
"""

from __future__ import annotations

import math
from xml.etree import ElementTree as ET

from vla_bench.world.primitives.mjcf import Rgba, element, multiply, quaternion, skin, solid

WHITE: Rgba = (0.86, 0.86, 0.84, 1)
DARK: Rgba = (0.16, 0.15, 0.15, 1)
BLACK: Rgba = (0.07, 0.07, 0.08, 1)
STEEL: Rgba = (0.45, 0.46, 0.48, 1)
WORKTOP: Rgba = (0.3, 0.29, 0.26, 1)
WALNUT: Rgba = (0.33, 0.25, 0.2, 1)
CUPBOARD: Rgba = (0.62, 0.6, 0.52, 1)
LEAF: Rgba = (0.24, 0.42, 0.2, 1)
TEXTURE: Rgba = (1, 1, 1, 1)  # the texture's own colours


def coffee_table(world: ET.Element) -> None:
    """The living room's table, 1.16 x 1.72 m and 0.437 m high: two crossed slabs, rounded where they are drawn."""
    table = element(world, "body", name="living_room_table", pos=(0, 0, 0), quat=(1, 0, 0, 0))
    # Built lengthwise and turned by a quarter, as LIBERO has it: x here is y in the room.
    body = element(table, "body", name="living_room_table_col", pos=(-0.25, 0.25, 0), quat=(0.707, 0, 0, 0.707))
    thick, middle = 0.0118, 0.425
    slabs = (((0.6717, 0.5815, thick), (-0.1976, -0.0073, middle)), ((0.8611, 0.4168, thick), (-0.2104, 0, middle)))
    base = (0.4352, 0.4116, 0.2088), (0, 0, 0.2041)
    for size, pos in (*slabs, base):
        solid(body, "box", size, pos)
    for below, (size, (x, y, z)) in enumerate((*slabs, base)):
        # What is drawn second lies a hair lower, or the two faces would flicker.
        skin(body, "box", size, TEXTURE, (x, y, z - 0.0004 * below), material="table_texture")
    for x in (0.4957, -0.9164):
        for y in (0.4192, -0.4337):
            skin(body, "cylinder", (0.155, thick), TEXTURE, (x, y, middle - 0.0008), material="table_texture")


def wall_unit(world: ET.Element) -> None:
    """A low white sideboard under a picture, on the living room's rear wall."""
    skin(world, "box", (0.2, 1.2, 0.2), WHITE, (-1.78, 0, 0.2), name="living_room")
    skin(world, "box", (0.22, 1.22, 0.015), WALNUT, (-1.77, 0, 0.415))
    for y in (-0.6, 0, 0.6):
        skin(world, "box", (0.003, 0.005, 0.17), DARK, (-1.578, y, 0.2))
    skin(world, "box", (0.01, 0.4, 0.4), (0.45, 0.47, 0.52, 1), (-1.98, 0.6, 1.5), name="wall_decoration")


def kitchen_counter(asset: ET.Element, world: ET.Element) -> None:
    """Cupboards under a worktop, tiles above it, a hob with a pot, and a fridge in the corner."""
    element(asset, "texture", name="tex-backsplash", type="2d", file="../textures/backsplash.png")
    element(asset, "material", name="backsplash", texture="tex-backsplash", texrepeat="2 2", texuniform="true", specular="0.1")
    skin(world, "box", (0.29, 2.2, 0.43), CUPBOARD, (-1.68, 0.35, 0.43), name="kitchen_counter")
    skin(world, "box", (0.33, 2.2, 0.02), WORKTOP, (-1.66, 0.35, 0.88))
    skin(world, "box", (0.005, 2.2, 0.3), TEXTURE, (-1.975, 0.35, 1.2), material="backsplash")
    for y in (-1.2, -0.6, 0, 0.6, 1.2):
        skin(world, "box", (0.003, 0.005, 0.4), DARK, (-1.389, y, 0.43))
        skin(world, "box", (0.008, 0.06, 0.008), STEEL, (-1.375, y + 0.3, 0.76))
    skin(world, "box", (0.22, 0.3, 0.006), BLACK, (-1.65, 0, 0.905))
    skin(world, "cylinder", (0.11, 0.06), STEEL, (-1.6, 0.2, 0.97))
    skin(world, "box", (0.22, 0.43, 0.87), STEEL, (-1.75, -2.4, 0.9), name="fridge")


def desk(world: ET.Element) -> None:
    """The study's desk: 1.38 x 2.79 m, the top 72 mm thick and 0.885 m high, four legs, two rails on the floor."""
    body = element(world, "body", name="study_table", pos=(0, 0, 0), quat=(1, 0, 0, 0))
    top = (0.6895, 1.3927, 0.0358), (0, 0, 0.8493)
    solid(body, "box", *top)
    skin(body, "box", top[0], TEXTURE, top[1], material="table_texture")
    for y in (-0.6906, 0.712):
        for x in (-0.5005, 0.4962):
            leg = (0.02, 0.0503, 0.394), (x, y, 0.3943)
            solid(body, "box", *leg)
            skin(body, "box", leg[0], DARK, leg[1])
        rail = (0.5126, 0.0503, 0.0215), (-0.0049, y - 0.002, 0.0253)
        solid(body, "box", *rail)
        skin(body, "box", (0.475, 0.045, 0.0215), DARK, rail[1])


def bookshelf(world: ET.Element) -> None:
    """White boards on a dark back, two black books on one of them."""
    x, y, half, height = -1.71, -0.995, 0.6, 1.79
    skin(world, "box", (0.008, half, height / 2), (0.3, 0.31, 0.32, 1), (x - 0.15, y, height / 2), name="office_book_shelf")
    for side in (-half, 0, half):
        skin(world, "box", (0.155, 0.012, height / 2), WHITE, (x, y + side, height / 2))
    for z in (0.012, 0.44, 0.88, 1.33, 1.778):
        skin(world, "box", (0.152, half - 0.014, 0.012), WHITE, (x, y, z))
    for number, along in ((1, -0.5), (2, -0.45)):
        skin(world, "box", (0.098, 0.022, 0.12), BLACK, (-1.7, along, 1.012), name=f"black_book_{number}")


def plant(world: ET.Element) -> None:
    """A palm in a grey pot: two stems, each with a crown of five leaves."""
    x = -1.82
    skin(world, "cylinder", (0.15, 0.16), (0.5, 0.5, 0.5, 1), (x, 0.57, 0.16), name="plant")
    for y, height, first in ((0.47, 0.42, 0), (0.66, 0.28, 36)):
        head = 0.32 + height
        skin(world, "cylinder", (0.025, height / 2), (0.42, 0.34, 0.24, 1), (x, y, head - height / 2))
        for heading in range(first, first + 360, 72):
            # A leaf is half a metre long and leans out by 50 degrees.
            out, up = 0.24 * math.sin(math.radians(50)), 0.24 * math.cos(math.radians(50))
            angle = math.radians(heading)
            pos = (x + out * math.cos(angle), y + out * math.sin(angle), head + up)
            skin(world, "ellipsoid", (0.012, 0.04, 0.25), LEAF, pos, multiply(quaternion("z", heading), quaternion("y", 50)))
