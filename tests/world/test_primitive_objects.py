"""The household objects of the embedded pack: they compile, and they have the official objects' sizes and sites."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from vla_bench.world.primitives import groceries, household, tableware

mujoco = pytest.importorskip("mujoco")

MODELS = {**groceries.MODELS, **tableware.MODELS, **household.MODELS}
BY_NAME = {Path(path).stem: model for path, model in MODELS.items()}

# Measured on the official models: lowest and highest corner of the collision shape in the object's frame (mm), mass (g).
SIZES = {
    "alphabet_soup": ((-31.3, -38.6, -34.9), (31.1, 37.6, 27.5), 54),
    "bbq_sauce": ((-23.5, -14.6, -54.6), (23.5, 14.6, 52.5), 24),
    "butter": ((-38.1, -19.8, -8.7), (38.1, 19.8, 8.7), 10),
    "chocolate_pudding": ((-40.6, -23.2, -13.1), (39.6, 23.2, 14.3), 22),
    "cookies": ((-31.0, -41.3, -9.4), (31.0, 41.3, 9.4), 19),
    "cream_cheese": ((-40.6, -21.3, -8.9), (40.6, 21.3, 8.9), 12),
    "ketchup": ((-27.7, -72.4, -17.6), (28.6, 73.2, 19.1), 49),
    "milk": ((-26.4, -69.8, -26.3), (26.6, 61.4, 26.3), 69),
    "orange_juice": ((-26.6, -69.8, -26.3), (26.4, 61.4, 26.3), 68),
    "salad_dressing": ((-27.3, -72.7, -18.0), (25.4, 72.8, 17.6), 45),
    "tomato_sauce": ((-31.2, -38.6, -34.1), (31.0, 37.6, 27.5), 54),
    "akita_black_bowl": ((-53.8, -53.9, 1.6), (53.4, 53.1, 52.1), 53),
    "basket": ((-84.1, -78.5, 4.2), (85.4, 78.8, 145.7), 653),
    "chefmate_8_frypan": ((-96.8, -103.2, 0.8), (259.3, 101.1, 58.7), 203),
    "glazed_rim_porcelain_ramekin": ((-44.7, -44.4, 0.7), (44.7, 44.7, 42.7), 38),
    "plate": ((-68.0, -68.4, -2.5), (69.6, 69.1, 16.4), 30),
    "black_book": ((-14.8, -67.3, 2.2), (13.9, 43.0, 136.6), 156),
    "desk_caddy": ((-75.5, -216.9, 1.4), (75.5, 216.9, 168.3), 1642),
    "moka_pot": ((-40.6, -56.3, -66.1), (40.8, 91.2, 85.7), 131),
    "porcelain_mug": ((-64.7, -49.4, 2.4), (60.0, 46.9, 108.5), 121),
    "red_coffee_mug": ((-60.7, -47.2, -1.8), (62.2, 46.0, 130.8), 124),
    "white_yellow_mug": ((-71.3, -53.0, -0.1), (68.4, 53.1, 103.1), 121),
    "wine_bottle": ((-20.7, -22.0, 1.1), (21.9, 22.2, 158.0), 51),
    "wine_rack": ((-134.4, -124.4, -2.2), (134.4, 129.5, 328.2), 616),
}

# A point in the hollow of each hollow object (mm); nothing solid may be there or above it.
HOLLOWS = {
    "akita_black_bowl": [(0, 0, 12), (30, 0, 35)],
    "plate": [(0, 0, 8)],
    "glazed_rim_porcelain_ramekin": [(0, 0, 12), (30, 0, 20)],
    "chefmate_8_frypan": [(0, 0, 20), (60, 0, 20)],
    "porcelain_mug": [(12, 0, 15), (45, 0, 60)],
    "red_coffee_mug": [(-15, 0, 15), (15, 0, 80)],
    "white_yellow_mug": [(-18, 0, 15), (15, 0, 60)],
    "basket": [(0, 0, 30), (50, 50, 60)],
    "desk_caddy": [(35, 0, 30), (-30, 0, 30), (0, 140, 30), (0, -140, 30)],
}

Y_UP = {"alphabet_soup", "ketchup", "milk", "orange_juice", "salad_dressing", "tomato_sauce"}
REGIONS = {
    "basket": ["contain_region"],
    "wine_rack": ["top_region"],
    "desk_caddy": ["right_contain_region", "left_contain_region", "back_contain_region", "front_contain_region"],
}
SITES = ["bottom_site", "top_site", "horizontal_radius_site"]


def extent(kind: int, size: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Half the axis-aligned box around a turned geom."""
    axis = turn[:, 2]
    if kind == mujoco.mjtGeom.mjGEOM_BOX:
        return np.abs(turn) @ size
    if kind == mujoco.mjtGeom.mjGEOM_SPHERE:
        return np.full(3, size[0])
    if kind == mujoco.mjtGeom.mjGEOM_CAPSULE:
        return np.abs(axis) * size[1] + size[0]
    if kind == mujoco.mjtGeom.mjGEOM_CYLINDER:
        return np.abs(axis) * size[1] + np.sqrt(np.clip(1 - axis**2, 0, None)) * size[0]
    if kind == mujoco.mjtGeom.mjGEOM_ELLIPSOID:
        return np.sqrt((turn**2) @ size**2)
    raise AssertionError(f"a shape that the pack should not use: geom type {kind}")


class Compiled:
    """A model on its own in MuJoCo, with every geom in the frame of its body "object"."""

    def __init__(self, xml: str) -> None:
        self.model = mujoco.MjModel.from_xml_string(xml)
        data = mujoco.MjData(self.model)
        mujoco.mj_forward(self.model, data)
        self.body = self.model.body("object").id
        self.places = data.geom_xpos - data.xpos[self.body]
        self.turns = data.geom_xmat.reshape(-1, 3, 3)

    def corners(self, group: int) -> np.ndarray:
        """Lowest and highest corner of all geoms of a group, in mm."""
        low, high = [], []
        for g in np.flatnonzero(self.model.geom_group == group):
            half = extent(self.model.geom_type[g], self.model.geom_size[g], self.turns[g])
            low.append(self.places[g] - half)
            high.append(self.places[g] + half)
        return 1000 * np.array([np.min(low, axis=0), np.max(high, axis=0)])

    def occupied(self, point: np.ndarray) -> bool:
        """Whether a point (mm) lies inside a solid box."""
        for g in np.flatnonzero((self.model.geom_group == 0) & (self.model.geom_type == mujoco.mjtGeom.mjGEOM_BOX)):
            inside = self.turns[g].T @ (point / 1000 - self.places[g])
            if np.all(np.abs(inside) < self.model.geom_size[g]):
                return True
        return False


@pytest.fixture(scope="module")
def compiled() -> dict[str, Compiled]:
    return {name: Compiled(model()) for name, model in BY_NAME.items()}


def test_every_object_is_there_once() -> None:
    assert set(BY_NAME) == set(SIZES) and len(MODELS) == len(SIZES)
    for path in MODELS:
        assert path.split("/")[1:] == [Path(path).stem, Path(path).name]


@pytest.mark.parametrize("name", SIZES)
def test_layout_of_the_file(name: str) -> None:
    text = BY_NAME[name]()
    assert text == BY_NAME[name]()
    root = ET.fromstring(text)
    assert not list(root.iter("mesh")) and not list(root.iter("texture")) and "file=" not in text
    outer = root.find("worldbody/body")
    assert outer.get("name") is None
    assert [child.get("name") for child in outer] == ["object", *SITES]
    assert [site.get("name") for site in outer.find("body").iter("site")] == REGIONS.get(name, [])
    geoms = list(root.iter("geom"))
    assert all(geom in list(outer.find("body")) for geom in geoms)
    assert {geom.get("group") for geom in geoms} == {"0", "1"}
    # robosuite hangs a textured cube on every drawn geom that has no material of its own
    assert all(geom.get("material") for geom in geoms if geom.get("group") == "1")


@pytest.mark.parametrize("name", SIZES)
def test_size_and_mass(name: str, compiled: dict[str, Compiled]) -> None:
    thing, (low, high, mass) = compiled[name], SIZES[name]
    solid, drawn = thing.corners(0), thing.corners(1)
    np.testing.assert_allclose(solid, [low, high], atol=3.0)
    np.testing.assert_allclose(drawn, solid, atol=6.0)
    # What stands on a table neither hovers nor sinks in; see Y_UP for what stands on its y axis.
    up = 1 if name in Y_UP else 2
    assert abs(drawn[0, up] - solid[0, up]) < 2.5
    assert 1000 * thing.model.body_mass[thing.body] == pytest.approx(mass, rel=0.25)


@pytest.mark.parametrize("name", SIZES)
def test_is_light(name: str, compiled: dict[str, Compiled]) -> None:
    groups = compiled[name].model.geom_group
    assert (groups == 0).sum() <= 27 and (groups == 1).sum() <= 41
    drawn = groups == 1
    model = compiled[name].model
    assert not model.geom_contype[drawn].any() and not model.geom_conaffinity[drawn].any()


@pytest.mark.parametrize("name", HOLLOWS)
def test_hollow_things_are_open_above(name: str, compiled: dict[str, Compiled]) -> None:
    top = SIZES[name][1][2]
    for x, y, z in HOLLOWS[name]:
        for height in np.linspace(z, top + 20, 30):
            assert not compiled[name].occupied(np.array([x, y, height])), (x, y, height)


def skeleton(xml: str | bytes) -> list[tuple[str, str | None, list[list[float]]]]:
    """Bodies, joints and sites in document order, each with its depth-first place, name and numbers."""
    rows = []

    def visit(element: ET.Element, depth: int) -> None:
        for child in element:
            if child.tag in {"body", "joint", "site"}:
                defaults = {"pos": "0 0 0", "quat": "1 0 0 0", "size": "0.005"}
                numbers = [[float(v) for v in child.get(key, default).split()] for key, default in defaults.items()]
                rows.append((f"{depth} {child.tag} {child.get('type') or 'sphere'}", child.get("name"), numbers))
                visit(child, depth + 1)

    visit(ET.fromstring(xml).find("worldbody"), 0)
    return rows


@pytest.mark.parametrize("path", MODELS)
def test_same_bodies_and_sites_as_the_official_model(meshes, path: str) -> None:
    ours, theirs = skeleton(MODELS[path]()), skeleton((meshes.root / path).read_bytes())
    assert [row[:2] for row in ours] == [row[:2] for row in theirs]
    for (_, name, a), (_, _, b) in zip(ours, theirs, strict=False):
        for mine, official in zip(a, b, strict=False):
            np.testing.assert_allclose(mine, official, atol=1.1e-5, err_msg=str(name))
