"""Things that hold other things: the basket, the wine rack, the desk caddy; and the book."""

from __future__ import annotations

import math

from vla_bench.world.primitives.mjcf import Rgba, Vector, quaternion
from vla_bench.world.primitives.shapes import BLACK, Model, Thing


def basket() -> str:
    straw, dark = (0.66, 0.45, 0.24, 1), (0.50, 0.32, 0.16, 1)
    box = Thing("basket", 0.6532)
    box.region("contain_region", (0.06108, 0.06108, 0.06949), (0, 0, 0.07185), (0, 0, 0, 1))
    box.block((-0.0745, -0.0724, 0.0042), (0.0790, 0.0724, 0.0215), dark)
    # Middle and lean of the four walls; they open slightly towards the top.
    walls: tuple[tuple[Vector, Vector, str, float], ...] = (
        ((0.0064, 0.0720, 0.0640), (-0.0726, 0, 0.0766), "y", -4.6),
        ((0.0064, 0.0720, 0.0640), (0.0755, 0, 0.0766), "y", 2.8),
        ((0.0720, 0.0064, 0.0640), (0.0005, -0.0686, 0.0818), "x", 2.3),
        ((0.0720, 0.0064, 0.0640), (0.0005, 0.0691, 0.0818), "x", -2.3),
    )
    for half, middle, axis, lean in walls:
        quat = quaternion(axis, lean)
        box.solid(half, middle, quat)
        up = (math.sin(math.radians(lean)), 0, 1) if axis == "y" else (0, -math.sin(math.radians(lean)), 1)
        for k in range(5):  # woven strips in two shades, one a little proud of the next, and a rim on top
            z = -0.0512 + 0.0256 * k
            strip = [h + (0.0004 if k % 2 and h < 0.01 else 0) for h in half[:2]]
            shade = dark if k in (1, 3) else straw
            box.skin("box", (*strip, 0.0128), shade, [m + u * z for m, u in zip(middle, up, strict=False)], quat)
    return box.xml()


def wine_rack() -> str:
    oak, pale, mahogany = (0.80, 0.62, 0.40, 1), (0.87, 0.71, 0.49, 1), (0.36, 0.13, 0.06, 1)
    steep = quaternion("x", 31.3)
    rack = Thing("wine_rack", 0.6164)
    rack.region("top_region", (0.10087, 0.02200, 0.00251), (0, -0.08003, 0.21745), (0.8549119, -0.5187733, 0, 0))
    rise, run = math.sin(math.radians(31.3)), math.cos(math.radians(31.3))
    for y, z in ((-0.0061, 0.2512), (-0.0427, 0.1273)):  # two slanted shelves, each with a lip at its low edge
        rack.solid((0.1344, 0.0789, 0.0045), (0, y, z), steep)
        for k in range(8):
            shade = pale if k % 2 else oak
            rack.skin("box", (0.0168, 0.0789, 0.0045), shade, (-0.1176 + 0.0336 * k, y, z), steep)
        lip = (0, y - 0.0789 * run + 0.0045 * rise - 0.0010, z - 0.0789 * rise + 0.0085)
        rack.solid((0.1322, 0.0011, 0.0087), lip, steep)
        rack.skin("box", (0.1322, 0.0011, 0.0087), mahogany, lip, steep)
    rack.block((-0.0665, -0.0930, 0.0021), (0.0665, 0.0930, 0.0111), mahogany)
    for y, z, tilt in ((0.0694, 0.0101, -7.6), (-0.0643, 0.0127, 7.9)):  # the foot rises to a ridge in the middle
        middle, quat = (0, y, z), quaternion("x", tilt)
        rack.solid((0.0899, 0.0600, 0.0045), middle, quat)
        rack.skin("box", (0.0899, 0.0600, 0.0045), mahogany, middle, quat)
    rack.block((-0.0904, -0.0141, 0.0160), (0.0904, 0.0141, 0.0250), mahogany)
    rack.beam((0, -0.0360, 0.0160), (0, 0.0540, 0.3257), 0.0076, 0.0090, mahogany)
    return rack.xml()


def desk_caddy() -> str:
    wood, light = (0.48, 0.36, 0.24, 1), (0.56, 0.43, 0.29, 1)
    caddy = Thing("desk_caddy", 1.6424)
    upright: Vector = (0, 0, 1, 0)
    for name, size, pos, quat in (
        ("right_contain_region", (0.06196, 0.06216, 0.06046), (0.00631, -0.14339, 0.06558), upright),
        ("left_contain_region", (0.06196, 0.06216, 0.06046), (0.00631, 0.14551, 0.06558), upright),
        ("back_contain_region", (0.02775, 0.06216, 0.06046), (0.03364, -0.00064, 0.08558), upright),
        ("front_contain_region", (0.02775, 0.03595, 0.06216), (-0.03102, -0.00064, 0.04054), (0, 0, 0.70711, -0.70711)),
    ):
        caddy.region(name, size, pos, quat)
    caddy.block((-0.0755, -0.2169, 0.0014), (0.0755, 0.2169, 0.0138), light)
    # The tall compartment on the right, the back wall, and the low front.
    caddy.block((-0.0706, -0.2156, 0.0138), (0.0628, -0.2032, 0.1670), wood)
    caddy.block((-0.0706, -0.0742, 0.0138), (0.0628, -0.0618, 0.1670), wood)
    caddy.block((-0.0709, -0.2032, 0.0138), (-0.0628, -0.0742, 0.1670), light)
    caddy.block((0.0628, -0.2120, 0.0138), (0.0708, 0.2120, 0.1683), wood)
    caddy.block((-0.0709, -0.0618, 0.0138), (-0.0628, 0.2120, 0.0741), light)
    # The wall between the front and the back of the middle.
    caddy.block((-0.0056, -0.0618, 0.0138), (0.0025, 0.0670, 0.0987), light)
    for y in (0.0670, 0.2048):  # two walls that slope up to the back
        caddy.block((-0.0628, y, 0.0138), (0.0628, y + 0.0072, 0.0785), wood)
        caddy.block((0.0046, y, 0.0785), (0.0628, y + 0.0072, 0.1116), wood)
        caddy.beam((-0.0520, y + 0.0036, 0.0640), (0.0525, y + 0.0036, 0.1370), 0.0200, 0.0036, wood)
        caddy.block((0.0433, y, 0.1116), (0.0628, y + 0.0072, 0.1560), wood)
    return caddy.xml()


def black_book() -> str:
    pages: Rgba = (0.88, 0.86, 0.80, 1)
    gold: Rgba = (0.72, 0.58, 0.24, 1)
    x0, x1, y0, y1, z0, z1 = -0.0148, 0.0139, -0.0673, 0.0430, 0.0022, 0.1366
    cover = 0.0030
    book = Thing("black_book", 0.1559)
    book.block((x0, y0, z0), (x1, y1, z1))
    book.panel((x0, y0, z0), (x0 + cover, y1, z1), BLACK)
    book.panel((x1 - cover, y0, z0), (x1, y1, z1), BLACK)
    book.panel((x0 + cover, y1 - cover, z0), (x1 - cover, y1, z1), BLACK)
    book.panel((x0 + cover, y0 + 0.0025, z0 + 0.0025), (x1 - cover, y1 - cover, z1 - 0.0025), pages)
    for z in (0.030, 0.112):  # two gilt bands around spine and covers
        book.panel((x0 - 0.0003, -0.040, z - 0.001), (x1 + 0.0003, y1 + 0.0003, z + 0.001), gold)
    return book.xml()


MODELS: dict[str, Model] = {
    "stable_scanned_objects/basket/basket.xml": basket,
    "turbosquid_objects/wine_rack/wine_rack.xml": wine_rack,
    "turbosquid_objects/desk_caddy/desk_caddy.xml": desk_caddy,
    "turbosquid_objects/black_book/black_book.xml": black_book,
}
