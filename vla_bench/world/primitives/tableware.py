"""Bowl, plate, ramekin, frying pan, moka pot, mugs and wine bottle.

What is hollow is a ring of thin boxes, so that a finger fits inside and a rim can be grasped.
"""

from __future__ import annotations

from vla_bench.world.primitives.mjcf import Rgba, quaternion
from vla_bench.world.primitives.shapes import BLACK, STEEL, WHITE, Model, Point, Thing

CHARCOAL: Rgba = (0.13, 0.13, 0.14, 1)
PORCELAIN: Rgba = (0.90, 0.90, 0.88, 1)


def akita_black_bowl() -> str:
    bowl = Thing("akita_black_bowl", 0.0528, offset=(0, -0.1, 0))
    bowl.feet(0.0165, 0.0016)
    bowl.prism(0.0240, 0.0030, 0.0070, sides=6)
    # Slim up to the height of a plate's rim, because of the stored states in which the two overlap (see `plate`).
    # Its corners must also clear the ramekin's mouth, or the two jam (0.0345 / cos 22.5 deg < 0.0395).
    bowl.shell((0.0235, 0.0030), (0.0345, 0.0168), 0.0026, sides=8)
    bowl.shell((0.0415, 0.0170), (0.0535, 0.0521), 0.0028, sides=12)

    bowl.disc(0.0250, 0.0016, 0.0070, CHARCOAL)
    bowl.cup((0.0240, 0.0030), (0.0390, 0.0168), 0.0026, CHARCOAL, sides=8)
    bowl.cup((0.0405, 0.0150), (0.0534, 0.0495), 0.0026, CHARCOAL)
    bowl.cup((0.0533, 0.0490), (0.0538, 0.0521), 0.0030, (0.34, 0.34, 0.35, 1))
    return bowl.xml()


def plate() -> str:
    # Some stored states put bowl and plate a few millimetres into each other: stiff contacts would throw the bowl over.
    dish = Thing("plate", 0.0305, solref="0.01 1")
    dish.prism(0.038, -0.0025, 0.0052)
    dish.shell((0.0340, -0.0020), (0.0668, 0.0164), 0.0042, sides=12)

    dish.disc(0.0385, -0.0020, 0.0052, WHITE)
    dish.cup((0.0340, -0.0018), (0.0630, 0.0139), 0.0040, WHITE)
    dish.cup((0.0618, 0.0118), (0.0674, 0.0164), 0.0040, (0.66, 0.22, 0.16, 1))
    return dish.xml()


def glazed_rim_porcelain_ramekin() -> str:
    cup = Thing("glazed_rim_porcelain_ramekin", 0.038)
    cup.prism(0.0365, 0.0007, 0.0073)
    cup.shell((0.0385, 0.0007), (0.0447, 0.0427), 0.0052, sides=12)

    cup.disc(0.0365, 0.0007, 0.0073, PORCELAIN)
    cup.cup((0.0380, 0.0007), (0.0425, 0.0345), 0.0045, PORCELAIN)
    cup.cup((0.0442, 0.0335), (0.0447, 0.0427), 0.0058, (0.95, 0.93, 0.86, 1))
    return cup.xml()


def chefmate_8_frypan() -> str:
    coating, metal, at = (0.16, 0.16, 0.155, 1), (0.27, 0.27, 0.28, 1), (0.0015, -0.0008)
    pan = Thing("chefmate_8_frypan", 0.2032)
    pan.prism(0.070, 0.0008, 0.0120, at=at)
    pan.shell((0.0765, 0.0020), (0.1005, 0.0424), 0.0060, sides=12, at=at)
    pan.beam((0.096, 0.0035, 0.022), (0.137, 0.002, 0.034), 0.009, 0.0105, STEEL)
    pan.beam((0.127, 0, 0.0365), (0.2585, 0, 0.0525), 0.0062, 0.0127)

    pan.disc(0.0720, 0.0008, 0.0120, coating, at=at)
    pan.disc(0.0500, 0.0119, 0.0123, (0.20, 0.20, 0.19, 1), at=at)
    pan.cup((0.0765, 0.0015), (0.1000, 0.0405), 0.0050, coating, at=at)
    pan.cup((0.0997, 0.0385), (0.1008, 0.0424), 0.0040, metal, at=at)
    pan.rod((0.135, 0, 0.0365), (0.190, 0, 0.0450), (0.248, 0, 0.0490), radius=0.0095, rgba=BLACK)
    return pan.xml()


def moka_pot() -> str:
    metal, shade, grip = (0.76, 0.77, 0.79, 1), (0.62, 0.63, 0.65, 1), (0.06, 0.06, 0.06, 1)
    pot = Thing("moka_pot", 0.1311)
    # Six-sided, flat towards the gripper that comes along y: 70 mm fit between its fingers, 80 mm would not.
    pot.feet(0.0220, -0.0661)
    pot.prism(0.0350, -0.0651, 0.0670, sides=6, turn=90)
    pot.block((-0.0080, -0.0563, 0.0325), (0.0080, -0.0340, 0.0600))
    pot.block((-0.0066, 0.0340, 0.0520), (0.0066, 0.0760, 0.0670))
    pot.beam((0, 0.0740, 0.0600), (0, 0.0850, 0.0480), 0.0066, 0.0070)
    pot.beam((0, 0.0842, 0.0540), (0, 0.0620, -0.0040), 0.0066, 0.0070)
    pot.block((-0.0052, -0.0060, 0.0629), (0.0052, 0.0060, 0.0857))

    pot.cup((0.0372, -0.0661), (0.0318, -0.0120), 0.0200, metal, sides=8)
    pot.disc(0.0345, -0.0120, -0.0020, shade)
    pot.cup((0.0318, -0.0020), (0.0385, 0.0580), 0.0200, metal, sides=8)
    pot.disc(0.0385, 0.0560, 0.0600, shade)
    pot.blob((0.0370, 0.0370, 0.0095), (0, 0, 0.0595), metal)
    pot.disc(0.0045, 0.0660, 0.0740, grip)
    pot.blob((0.0085, 0.0085, 0.0065), (0, 0, 0.0795), grip)
    middle, tilt = (0, -0.0430, 0.0490), quaternion("x", 35)
    pot.skin("box", (0.0085, 0.0060, 0.0150), metal, middle, tilt)
    pot.rod((0, 0.036, 0.0590), (0, 0.058, 0.0600), radius=0.0060, rgba=metal)
    bend = ((0, 0.058, 0.0600), (0, 0.076, 0.0570), (0, 0.084, 0.0440), (0, 0.076, 0.0180), (0, 0.060, -0.0040))
    pot.rod(*bend, radius=0.0068, rgba=grip)
    return pot.xml()


def _mug(mug: Thing, at: tuple[float, float], foot: tuple[float, float], rim: tuple[float, float], wall: float) -> None:
    """What collides of a mug's cup; `foot` and `rim` are (radius, height)."""
    mug.prism(foot[0] * 0.95, foot[1], foot[1] + 0.0060, sides=6, at=at)
    mug.shell(foot, rim, wall, sides=12, at=at)


def _handle(mug: Thing, points: list[Point], half_width: float, thickness: float, rgba: Rgba) -> None:
    """A handle along the points: straight bars to hold, a round bar to see."""
    for start, end in zip(points, points[1:], strict=False):
        mug.beam(start, end, thickness, half_width)
    mug.rod(*points, radius=(half_width + thickness) / 2, rgba=rgba)


def porcelain_mug() -> str:
    at, foot, rim, white = (0.0125, -0.0013), (0.0370, 0.0024), (0.0475, 0.1085), (0.93, 0.92, 0.89, 1)
    mug = Thing("porcelain_mug", 0.1206)
    _mug(mug, at, foot, rim, 0.0045)
    mug.blob((0.0400, 0.0400, 0.0160), (*at, 0.0184), white)
    mug.cup((0.0405, 0.0190), (0.0475, 0.1085), 0.0042, white, at=at)
    _handle(mug, [(-0.029, 0, 0.024), (-0.0575, 0, 0.044), (-0.0610, 0, 0.068), (-0.0365, 0, 0.089)], 0.0080, 0.0037, white)
    return mug.xml()


def red_coffee_mug() -> str:
    at, foot, rim, red = (-0.0155, -0.0006), (0.0330, -0.0018), (0.0468, 0.1308), (0.74, 0.06, 0.06, 1)
    mug = Thing("red_coffee_mug", 0.1240)
    _mug(mug, at, foot, rim, 0.0060)
    mug.disc(0.0335, -0.0018, 0.0050, red, at=at)
    mug.cup(foot, (0.0465, 0.1290), 0.0050, red, at=at)
    mug.cup((0.0468, 0.1270), rim, 0.0055, (0.84, 0.16, 0.13, 1), at=at)
    _handle(mug, [(0.020, 0, 0.032), (0.0560, 0, 0.073), (0.0575, 0, 0.100), (0.028, 0, 0.112)], 0.0072, 0.0036, red)
    return mug.xml()


def white_yellow_mug() -> str:
    at, foot, rim = (-0.0183, 0.0), (0.0385, -0.0001), (0.0528, 0.1031)
    white, yellow = (0.93, 0.92, 0.88, 1), (0.95, 0.75, 0.12, 1)
    mug = Thing("white_yellow_mug", 0.1209)
    _mug(mug, at, foot, rim, 0.0065)
    mug.disc(0.0385, -0.0001, 0.0060, yellow, at=at)
    mug.cup(foot, (0.0455, 0.0550), 0.0062, yellow, at=at)
    mug.cup((0.0456, 0.0520), (0.0528, 0.1031), 0.0065, white, at=at)
    _handle(mug, [(0.026, 0, 0.028), (0.0635, 0, 0.032), (0.0642, 0, 0.080), (0.033, 0, 0.081)], 0.0087, 0.0040, yellow)
    return mug.xml()


def wine_bottle() -> str:
    glass, foil = (0.05, 0.13, 0.07, 1), (0.45, 0.06, 0.09, 1)
    bottle = Thing("wine_bottle", 0.0509)
    bottle.prism(0.0215, 0.0011, 0.0690)
    bottle.block((-0.0122, -0.0122, 0.0690), (0.0122, 0.0122, 0.0950))
    bottle.block((-0.0074, -0.0074, 0.0950), (0.0074, 0.0074, 0.1580))

    bottle.disc(0.0213, 0.0011, 0.0660, glass)
    bottle.blob((0.0213, 0.0213, 0.0360), (0, 0, 0.0650), glass)
    bottle.disc(0.0078, 0.0900, 0.1350, glass)
    bottle.disc(0.0082, 0.1290, 0.1500, foil)
    bottle.disc(0.0074, 0.1500, 0.1580, (0.78, 0.58, 0.36, 1))
    bottle.disc(0.0218, 0.0130, 0.0470, (0.92, 0.89, 0.80, 1))
    bottle.disc(0.0220, 0.0400, 0.0425, (0.74, 0.58, 0.22, 1))
    bottle.disc(0.0220, 0.0180, 0.0260, foil)
    return bottle.xml()


MODELS: dict[str, Model] = {
    f"{folder}/{model.__name__}/{model.__name__}.xml": model
    for folder, models in {
        "stable_scanned_objects": (akita_black_bowl, plate, glazed_rim_porcelain_ramekin, chefmate_8_frypan),
        "turbosquid_objects": (moka_pot, porcelain_mug, red_coffee_mug, white_yellow_mug, wine_bottle),
    }.items()
    for model in models
}
