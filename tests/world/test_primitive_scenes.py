"""The embedded pack's rooms, fixtures, textures and robot: sound models, the official names and sizes, the same physics."""

from __future__ import annotations

import ast
import dataclasses
import io
from pathlib import Path
from xml.etree import ElementTree as ET

import mujoco
import numpy as np
import pytest
from PIL import Image

from vla_bench.world.primitives import arenas, fixtures, textures
from vla_bench.world.primitives.quality import QUALITY, draw_coarsely

MODELS = {**arenas.MODELS, **fixtures.MODELS}


@pytest.fixture(scope="module")
def pack(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("pack")
    files = {path: model().encode() for path, model in MODELS.items()} | textures.images()
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def load(pack: Path, path: str) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_path(str(pack / path))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def solid_extent(model: mujoco.MjModel, data: mujoco.MjData, body: str) -> tuple[np.ndarray, np.ndarray]:
    """Corners of the box around what collides of `body`, in the world's axes."""
    points = []
    for geom in range(model.ngeom):
        if model.geom_bodyid[geom] != model.body(body).id or model.geom_group[geom] != 0:
            continue
        size = model.geom_size[geom]
        half = {
            mujoco.mjtGeom.mjGEOM_BOX: size,
            mujoco.mjtGeom.mjGEOM_CYLINDER: np.array([size[0], size[0], size[1]]),
            mujoco.mjtGeom.mjGEOM_CAPSULE: np.array([size[0], size[0], size[0] + size[1]]),
        }[mujoco.mjtGeom(model.geom_type[geom])]
        corners = np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T * half
        points.append(corners @ data.geom_xmat[geom].reshape(3, 3).T + data.geom_xpos[geom])
    stacked = np.concatenate(points)
    return stacked.min(0), stacked.max(0)


@pytest.mark.parametrize("path", MODELS)
def test_model_compiles_from_primitives_alone(pack, path):
    model, _ = load(pack, path)
    assert model.nmesh == 0
    drawn = model.geom_group == 1
    assert drawn.sum() <= 40
    assert not (model.geom_contype[drawn & (model.geom_type != mujoco.mjtGeom.mjGEOM_PLANE)]).any()
    assert not model.mat_reflectance.any(), "a reflecting surface draws the scene twice"
    assert MODELS[path]() == MODELS[path]()


@pytest.mark.parametrize(
    ("path", "kind", "names"),
    [
        ("scenes/libero_floor_base_style.xml", "body", ["floor"]),
        ("scenes/libero_floor_base_style.xml", "camera", ["frontview", "birdview", "agentview", "sideview"]),
        ("scenes/libero_tabletop_base_style.xml", "geom", ["floor", "table_collision", "table_visual", "table_leg4_visual"]),
        ("scenes/libero_tabletop_base_style.xml", "texture", ["texplane", "tex-wall"]),
        ("scenes/libero_tabletop_base_style.xml", "site", ["table_top"]),
        ("scenes/libero_kitchen_tabletop_base_style.xml", "body", ["table"]),
        ("scenes/libero_kitchen_tabletop_base_style.xml", "light", ["light1", "light2", "light_kitchen"]),
        ("scenes/libero_living_room_tabletop_base_style.xml", "body", ["floor", "living_room_table"]),
        ("scenes/libero_study_base_style.xml", "body", ["study_table"]),
        ("articulated_objects/flat_stove.xml", "site", ["cook_region", "burner"]),
        ("articulated_objects/flat_stove.xml", "joint", ["button"]),
        ("articulated_objects/microwave.xml", "site", ["top_side", "heating_region"]),
        ("articulated_objects/microwave.xml", "joint", ["microjoint"]),
        ("articulated_objects/white_cabinet.xml", "site", ["top_side", "top_region", "middle_region", "bottom_region"]),
        ("articulated_objects/wooden_cabinet.xml", "joint", ["top_level", "middle_level", "bottom_level"]),
    ],
)
def test_names_that_libero_looks_up(path, kind, names):
    found = [node.get("name") for node in ET.fromstring(MODELS[path]()).iter(kind)]
    assert [name for name in found if name in names] == names


# Corners of the official collision shapes, measured on the meshes' own models (metres).
EXTENTS = {
    ("flat_stove", "burner"): ((0.055, -0.095, -0.02), (0.245, 0.095, 0.0255)),
    ("flat_stove", "button"): ((-0.052, -0.0463, 0.0004), (0.0433, 0.0489, 0.05)),
    ("microwave", "object"): ((-0.1725, -0.1105, 0.0), (0.1725, 0.111, 0.187)),
    ("microwave", "microdoorroot"): ((-0.1725, -0.152, 0.0035), (0.0865, -0.089, 0.1885)),
    ("white_cabinet", "base"): ((-0.1234, -0.0792, 0.0046), (0.1312, 0.1117, 0.223)),
    ("wooden_cabinet", "cabinet_top"): ((-0.106, -0.1093, 0.1488), (0.1127, 0.0943, 0.2174)),
    ("wooden_cabinet", "cabinet_middle"): ((-0.106, -0.1093, 0.0791), (0.1127, 0.0943, 0.1477)),
    ("wooden_cabinet", "cabinet_bottom"): ((-0.106, -0.1093, 0.0105), (0.1127, 0.0943, 0.079)),
    ("living_room_tabletop", "living_room_table_col"): ((-0.8242, -0.8214, -0.0047), (0.3387, 0.9007, 0.4368)),
    ("study", "study_table"): ((-0.6895, -1.3927, 0.0002), (0.6895, 1.3927, 0.8851)),
}


def path_of(name: str) -> str:
    return next(path for path in MODELS if path in (f"articulated_objects/{name}.xml", f"scenes/libero_{name}_base_style.xml"))


@pytest.mark.parametrize(("name", "body"), EXTENTS)
def test_outer_size(pack, name, body):
    low, high = solid_extent(*load(pack, path_of(name)), body)
    assert np.abs(low - EXTENTS[name, body][0]).max() < 0.003
    assert np.abs(high - EXTENTS[name, body][1]).max() < 0.003


@pytest.mark.parametrize("name", ["white_cabinet", "wooden_cabinet"])
@pytest.mark.parametrize("level", ["top", "middle", "bottom"])
def test_drawer_slides_freely_and_shuts_past_zero(pack, name, level):
    """LIBERO calls a drawer open below -0.14 and closed above 0; the official one shuts at about 0.002."""
    model, data = load(pack, path_of(name))
    joint = model.joint(f"{level}_level")
    ends = []
    for force in (-60, 60):
        data.qfrc_applied[:] = 0
        data.qfrc_applied[joint.dofadr[0]] = force
        mujoco.mj_step(model, data, 1000)
        ends.append(data.qpos[joint.qposadr[0]])
    assert ends[0] < -0.158
    assert 0.0005 < ends[1] < 0.004
    others = [q for i, q in enumerate(data.qpos) if i != joint.qposadr[0]]
    assert np.abs(others).max() < 1e-3


@pytest.mark.parametrize(
    ("name", "joint", "force", "end"), [("microwave", "microjoint", -1, -2.094), ("flat_stove", "button", 2, 2.1)]
)
def test_hinge_turns_to_its_end(pack, name, joint, force, end):
    model, data = load(pack, path_of(name))
    data.qfrc_applied[model.joint(joint).dofadr[0]] = force
    mujoco.mj_step(model, data, 6000)
    assert data.qpos[model.joint(joint).qposadr[0]] == pytest.approx(end, abs=0.03)


def test_every_texture_that_a_style_can_choose_is_there():
    from vla_bench.world.libero import libero_root

    source = ast.parse((libero_root() / "envs" / "arenas" / "style.py").read_text())
    names = {node.value for node in ast.walk(source) if isinstance(node, ast.Constant) and str(node.value).endswith(".png")}
    assert len(names) > 10
    assert {f"textures/{name}" for name in names} <= set(textures.images())


def test_textures_are_small_and_the_same_everywhere():
    images = textures.images()
    assert images == textures.images()
    assert sum(map(len, images.values())) < 1_000_000
    for content in images.values():
        width, height = Image.open(io.BytesIO(content)).convert("RGB").size
        assert width == height <= 128


def test_coarse_quality_reaches_the_model():
    model = mujoco.MjModel.from_xml_string(draw_coarsely("<mujoco><visual><map znear='0.001'/></visual></mujoco>"))
    assert model.vis.quality.offsamples == int(QUALITY["offsamples"])
    assert model.vis.quality.numslices == int(QUALITY["numslices"])
    assert model.vis.map.znear == pytest.approx(0.001)


def outline(xml: str) -> list[tuple[object, ...]]:
    """Bodies, joints, inertials and sites in document order with their depth, then lights and cameras, with all their numbers."""
    items: list[tuple[object, ...]] = []

    def numbers(node: ET.Element, key: str) -> tuple[float, ...]:
        default = {"pos": "0 0 0", "quat": "1 0 0 0"}.get(key, "")
        return tuple(round(float(v), 4) + 0.0 for v in node.get(key, default).split())

    def walk(node: ET.Element, depth: int) -> None:
        for child in node:
            if child.tag in ("body", "joint", "site", "camera", "light", "inertial"):
                keys = ("pos", "quat", "size", "axis", "range", "damping", "mass", "diaginertia", "dir", "diffuse", "specular")
                values = tuple(numbers(child, key) for key in keys if child.tag != "light" or key != "quat")
                items.append((depth, child.tag, child.get("name"), values))
            walk(child, depth + 1)

    world = ET.fromstring(xml).find("worldbody")
    assert world is not None
    walk(world, 0)
    moving = [item for item in items if item[1] not in ("light", "camera")]
    return moving + sorted(item for item in items if item not in moving)


@pytest.mark.parametrize("path", MODELS)
def test_outline_is_the_official_one(meshes, path):
    ours, official = outline(MODELS[path]()), outline((meshes.root / path).read_text())
    assert [item[:3] for item in ours] == [item[:3] for item in official]
    for mine, theirs in zip(ours, official, strict=True):
        for a, b in zip(mine[3], theirs[3], strict=True):
            assert a == pytest.approx(b, abs=2e-4), mine[:3]


def test_low_poly_robot_moves_as_the_official_one():
    from vla_bench.suites import load_suite
    from vla_bench.world.assets import resolve_assets
    from vla_bench.world.env import World

    suite = load_suite("object")
    low_poly = resolve_assets("primitive")
    actions = np.random.default_rng(0).uniform(-1, 1, (40, 7))
    runs = []
    for pack in (low_poly, dataclasses.replace(low_poly, name="libero-partial")):
        world = World(suite, pack)
        world.start(suite.tasks[0])
        world.reset(0)
        states = []
        for action in actions:
            world.step(action)
            states.append(world.state)
        runs.append(np.array(states))
        world.close()
    assert np.array_equal(*runs)
