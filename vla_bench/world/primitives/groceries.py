"""The eleven groceries: cans, cartons, flat boxes and squeeze bottles.

Sizes are those of the official collision shapes, so that the stored initial states fit; colours follow the printed
labels as seen from a metre away.  Labels stand half a millimetre proud, or they would flicker.
"""

from __future__ import annotations

from vla_bench.world.primitives.mjcf import Rgba, quaternion
from vla_bench.world.primitives.shapes import STEEL, WHITE, Model, Point, Thing

RED: Rgba = (0.78, 0.10, 0.07, 1)
ORANGE: Rgba = (0.94, 0.47, 0.06, 1)
YELLOW: Rgba = (0.95, 0.82, 0.20, 1)
GREEN: Rgba = (0.07, 0.42, 0.16, 1)
CREAM: Rgba = (0.91, 0.87, 0.72, 1)
SKY: Rgba = (0.44, 0.66, 0.86, 1)
BROWN: Rgba = (0.24, 0.11, 0.06, 1)

PROUD = 0.0005


def _can(
    name: str,
    mass: float,
    radius: float,
    y: float,
    label: Rgba,
    bands: list[tuple[float, float, Rgba]],
    oval: Rgba,
    height: float,
) -> Thing:
    """A tin with a printed label: bands around it, and ovals at `height`.

    `y` is where the axis stands, which is not in the model's origin.
    """
    foot, lid = -0.0386, 0.0376
    can = Thing(name, mass, y_up=True)
    can.prism(radius, foot, lid, at=(0, y))
    can.disc(radius - 0.001, foot, lid - 0.001, label, at=(0, y))
    for z0, z1, rgba in bands:
        can.disc(radius - 0.001 + PROUD, z0, z1, rgba, at=(0, y))
    reach = radius - 0.0092
    for side in (-1, 1):  # bulges that show as ovals on the round label
        can.blob((0.018, 0.0098, 0.026), (0, y + side * reach, height), oval)
        can.blob((0.0098, 0.018, 0.026), (side * reach, y, height), oval)
    can.disc(radius + PROUD, foot, foot + 0.0025, STEEL, at=(0, y))
    can.disc(radius + PROUD, lid - 0.0025, lid, STEEL, at=(0, y))
    can.disc(radius - 0.003, lid, lid + PROUD, (0.36, 0.37, 0.39, 1), at=(0, y))
    can.panel((-0.004, y - 0.022, lid), (0.004, y - 0.008, lid + 3 * PROUD), STEEL)
    return can


def alphabet_soup() -> str:
    blue, white = (0.15, 0.30, 0.68, 1), (0.90, 0.90, 0.86, 1)
    bands = [(-0.036, -0.016, ORANGE), (-0.016, -0.013, white)]
    return _can("alphabet_soup", 0.054, 0.0312, 0.0037, blue, bands, YELLOW, 0.008).xml(bottom=-0.04)


def tomato_sauce() -> str:
    bands = [(-0.036, -0.022, CREAM), (-0.012, 0.014, GREEN)]
    return _can("tomato_sauce", 0.0545, 0.0308, 0.0033, RED, bands, CREAM, 0.001).xml()


def _carton(name: str, mass: float, bands: list[tuple[float, Rgba]], roof: Rgba, ridge: Rgba) -> Thing:
    """A gable-top carton; `bands` are the printed colours from the foot upwards, each with its upper edge."""
    half, foot, eaves = 0.0263, -0.0698, 0.0398
    carton = Thing(name, mass, y_up=True)
    carton.block((-half, -half, foot), (half, half, eaves))
    for z, rgba in bands:
        carton.panel((-half, -half, foot), (half, half, z), rgba)
        foot = z
    for side in (-1, 1):
        carton.beam((0, side * 0.0245, eaves - 0.001), (0, side * 0.0025, 0.0575), half, 0.0022, roof)
    # The gable ends are folded inwards: a pale step in the shade of the roof.
    carton.panel((-half + 0.002, -0.018, eaves), (half - 0.002, 0.018, eaves + 0.005), ridge)
    carton.panel((-half + 0.002, -0.010, eaves + 0.005), (half - 0.002, 0.010, eaves + 0.011), ridge)
    carton.block((-half, -0.003, 0.0555), (half, 0.003, 0.0614), ridge)
    return carton


def _around(carton: Thing, reach: float, half_width: float, z0: float, z1: float, rgba: Rgba) -> None:
    """The same rectangle printed on all four sides."""
    carton.panel((-half_width, -reach, z0), (half_width, reach, z1), rgba)
    carton.panel((-reach, -half_width, z0), (reach, half_width, z1), rgba)


def milk() -> str:
    pale = (0.84, 0.89, 0.94, 1)
    carton = _carton("milk", 0.0685, [(-0.060, GREEN), (-0.006, pale), (0.0398, RED)], RED, WHITE)
    _around(carton, 0.0268, 0.020, 0.008, 0.024, WHITE)
    _around(carton, 0.0268, 0.012, -0.052, -0.034, (0.08, 0.08, 0.09, 1))
    _around(carton, 0.0268, 0.008, -0.026, -0.014, RED)
    return carton.xml(radius=0.03)


def orange_juice() -> str:
    bands = [(0.004, (0.90, 0.84, 0.50, 1)), (0.0398, ORANGE)]
    carton = _carton("orange_juice", 0.0676, bands, roof=(0.90, 0.70, 0.14, 1), ridge=(0.88, 0.88, 0.84, 1))
    _around(carton, 0.0268, 0.019, 0.010, 0.024, GREEN)
    for quat in (quaternion("x", 90), quaternion("y", 90)):
        carton.skin("cylinder", (0.0215, 0.0268), ORANGE, (0, 0, -0.035), quat)
        carton.skin("cylinder", (0.0150, 0.0272), YELLOW, (0, 0, -0.035), quat)
    return carton.xml()


def _bottle(
    thing: Thing,
    at: tuple[float, float],
    depth: float,
    foot: float,
    steps: list[tuple[float, float]],
    cap: tuple[float, float],
    body: Rgba,
    lid: Rgba,
) -> None:
    """A flat squeeze bottle: `steps` are half widths with their upper edges, the widest first; `cap` is radius and top."""
    x, y = at
    wide, shoulder = steps[0]
    neck, (radius, top) = steps[-1][1], cap
    z = foot
    for width, upper in steps:
        thing.block((x - width, y - depth, z), (x + width, y + depth, upper))
        z = upper
    thing.prism(radius, neck, top, at=at)

    thing.panel((x - wide + depth, y - depth, foot), (x + wide - depth, y + depth, shoulder), body)
    for side in (-1, 1):
        thing.disc(depth, foot, shoulder, body, at=(x + side * (wide - depth), y))
    thing.blob((wide, depth, (neck - shoulder) / 0.8), (x, y, shoulder), body)
    thing.disc(radius * 0.85, shoulder, neck, body, at=at)
    thing.disc(radius, neck - 0.003, top - 0.002, lid, at=at)
    thing.disc(radius * 0.93, top - 0.002, top, lid, at=at)
    groove: Rgba = (lid[0] * 0.7, lid[1] * 0.7, lid[2] * 0.7, 1)
    thing.disc(radius + PROUD, neck + 0.012, neck + 0.0135, groove, at=at)


def _labels(thing: Thing, at: tuple[float, float], depth: float, radii: tuple[float, float], z: float, rgba: Rgba) -> None:
    """An oval label on the front and on the back."""
    for side in (-1, 1):
        thing.blob((radii[0], 0.0012, radii[1]), (at[0], at[1] + side * depth, z), rgba)


def ketchup() -> str:
    bottle, at = Thing("ketchup", 0.0493, y_up=True), (0.00045, -0.00075)
    steps = [(0.0281, -0.0063), (0.0240, 0.0149), (0.0186, 0.0363)]
    _bottle(bottle, at, 0.0176, -0.0724, steps, (0.0172, 0.0732), (0.80, 0.16, 0.05, 1), (0.88, 0.87, 0.85, 1))
    _labels(bottle, at, 0.0178, (0.0165, 0.026), -0.036, WHITE)
    _labels(bottle, at, 0.0186, (0.0120, 0.005), -0.028, YELLOW)
    _labels(bottle, at, 0.0186, (0.0075, 0.006), -0.048, RED)
    return bottle.xml()


def salad_dressing() -> str:
    bottle, at = Thing("salad_dressing", 0.0449, y_up=True), (-0.00095, 0.0)
    steps = [(0.0262, -0.0100), (0.0215, 0.0020), (0.0165, 0.0130), (0.0135, 0.0355)]
    _bottle(bottle, at, 0.0172, -0.0727, steps, (0.0176, 0.0728), (0.52, 0.53, 0.47, 1), (0.03, 0.24, 0.11, 1))
    _labels(bottle, at, 0.0174, (0.0175, 0.026), -0.038, GREEN)
    _labels(bottle, at, 0.0182, (0.0130, 0.018), -0.038, (0.93, 0.92, 0.80, 1))
    _labels(bottle, at, 0.0190, (0.0080, 0.005), -0.050, RED)
    return bottle.xml()


def bbq_sauce() -> str:
    bottle, at = Thing("bbq_sauce", 0.0241), (0.0, 0.0)
    steps = [(0.0235, -0.0010), (0.0181, 0.0262)]
    _bottle(bottle, at, 0.0145, -0.0546, steps, (0.0143, 0.0525), (0.30, 0.10, 0.04, 1), (0.76, 0.24, 0.04, 1))
    _labels(bottle, at, 0.0147, (0.0150, 0.025), -0.028, RED)
    _labels(bottle, at, 0.0155, (0.0115, 0.009), -0.018, YELLOW)
    _labels(bottle, at, 0.0155, (0.0060, 0.006), -0.042, WHITE)
    return bottle.xml(-0.06, 0.06, 0.015)


def _oval(box: Thing, radii: tuple[float, float], at: tuple[float, float], faces: tuple[float, float], rgba: Rgba) -> None:
    """A flat oval printed on the upper and the lower face."""
    for z in faces:
        box.blob((*radii, 0.0010), (*at, z), rgba)


def _both(box: Thing, low: tuple[float, float], high: tuple[float, float], half_height: float, rgba: Rgba) -> None:
    """A rectangle printed on the upper and the lower face (the box lies in the middle)."""
    box.panel((*low, -half_height), (*high, half_height), rgba)


def _corners(half: Point) -> tuple[Point, Point]:
    return (-half[0], -half[1], -half[2]), half


def butter() -> str:
    box = Thing("butter", 0.0103)
    box.block(*_corners((0.0381, 0.0198, 0.0087)), CREAM)
    _both(box, (-0.0384, -0.0196), (0.008, 0.0196), 0.0092, (0.80, 0.24, 0.06, 1))
    _both(box, (0.008, -0.0196), (0.0379, 0.0196), 0.0092, SKY)
    for y in (-0.0125, 0.0, 0.0125):
        _both(box, (-0.033, y - 0.0024), (0.003, y + 0.0024), 0.0096, YELLOW)
    _oval(box, (0.011, 0.0125), (0.024, -0.002), (-0.0092, 0.0092), WHITE)
    _oval(box, (0.006, 0.0045), (0.026, 0.0105), (-0.0096, 0.0096), (0.08, 0.08, 0.09, 1))
    return box.xml(-0.02, 0.02, 0.02)


def cream_cheese() -> str:
    indigo, lilac = (0.20, 0.22, 0.54, 1), (0.70, 0.72, 0.86, 1)
    box = Thing("cream_cheese", 0.0124)
    box.block(*_corners((0.0406, 0.0213, 0.0089)), (0.56, 0.63, 0.73, 1))
    box.panel((-0.0410, -0.012, -0.005), (0.0410, 0.012, 0.005), RED)
    box.panel((-0.030, -0.0217, -0.004), (0.030, 0.0217, 0.004), WHITE)
    _oval(box, (0.028, 0.0150), (0, 0), (-0.0089, 0.0089), lilac)
    _oval(box, (0.025, 0.0125), (0, 0), (-0.0095, 0.0095), indigo)
    _both(box, (-0.015, 0.0012), (0.015, 0.0034), 0.0109, WHITE)
    _both(box, (-0.011, -0.0038), (0.011, -0.0016), 0.0109, WHITE)
    return box.xml(-0.025, 0.025, 0.03)


def chocolate_pudding() -> str:
    low, high = (-0.0406, -0.0232, -0.0131), (0.0396, 0.0232, 0.0143)
    box = Thing("chocolate_pudding", 0.0216)
    box.block(low, high, BROWN)
    tan = (0.86, 0.58, 0.27, 1)
    box.panel((-0.0402, -0.0236, -0.0127), (0.0392, 0.0236, 0.0139), SKY)
    box.panel((-0.030, -0.0241, -0.008), (0.030, 0.0241, 0.003), tan)
    below, above = -0.0136, 0.0148
    box.panel((-0.030, -0.010, below), (0.032, 0.004, above), tan)
    box.panel((-0.030, 0.009, below), (0.010, 0.014, above), (0.72, 0.46, 0.20, 1))
    box.panel((-0.0396, -0.0222, below), (0.0386, -0.0150, above), SKY)
    box.panel((0.016, 0.012, below), (0.0386, 0.0212, above), RED)
    return box.xml()


def cookies() -> str:
    golden, raisin = (0.72, 0.46, 0.18, 1), (0.26, 0.12, 0.10, 1)
    box = Thing("cookies", 0.0191)
    box.block(*_corners((0.0310, 0.0413, 0.0094)), (0.80, 0.75, 0.66, 1))
    _both(box, (-0.0305, -0.0408), (0.0305, -0.0270), 0.0098, RED)
    _both(box, (-0.024, -0.0225), (0.024, -0.0155), 0.0098, (0.45, 0.20, 0.10, 1))
    for x in (-0.0255, 0.0055):  # a chequered cloth under the cookies, and around the edge of the box
        for y in (-0.010, 0.0185):
            _both(box, (x, y), (x + 0.020, y + 0.0142), 0.0098, RED)
    for y in (-0.030, -0.010, 0.010, 0.030):
        box.panel((-0.0314, y - 0.005, -0.009), (0.0314, y + 0.005, 0.009), RED)
    for x, y in ((-0.010, 0.006), (0.011, 0.022)):
        _oval(box, (0.0165, 0.0165), (x, y), (-0.0100, 0.0100), golden)
        for dx, dy in ((-0.006, 0.003), (0.005, 0.005), (0.001, -0.006)):
            _oval(box, (0.0022, 0.0022), (x + dx, y + dy), (-0.0106, 0.0106), raisin)
    return box.xml()


MODELS: dict[str, Model] = {
    f"stable_hope_objects/{model.__name__}/{model.__name__}.xml": model
    for model in (
        alphabet_soup,
        bbq_sauce,
        butter,
        chocolate_pudding,
        cookies,
        cream_cheese,
        ketchup,
        milk,
        orange_juice,
        salad_dressing,
        tomato_sauce,
    )
}
