"""The objects that LIBERO-PRO adds: known to LIBERO, and in the embedded pack like the originals that they were made of."""

from __future__ import annotations

import numpy as np
import pytest

from vla_bench.errors import NotComparableError
from vla_bench.results.comparison import compare
from vla_bench.results.merge import merge
from vla_bench.suites import load_suite, load_suites, suite_names
from vla_bench.world.assets import resolve_assets
from vla_bench.world.changed import CHANGED
from vla_bench.world.env import World
from vla_bench.world.primitives import changed_files, files
from vla_bench.world.required import required_models

from ..made_runs import with_tasks

mujoco = pytest.importorskip("mujoco")
PACK = files()


def model_of(kind: str, pack: dict[str, bytes]):
    (path,) = [path for path in pack if path.endswith(f"/{kind}.xml")]
    return mujoco.MjModel.from_xml_string(pack[path].decode())


@pytest.fixture(scope="module")
def extended():
    return PACK | changed_files(PACK)


@pytest.mark.parametrize("kind", CHANGED)
def test_it_is_its_original_in_another_colour_or_size(kind, extended):
    change = CHANGED[kind]
    here, there = model_of(kind, extended), model_of(change.like, extended)
    assert here.ngeom == there.ngeom and here.nsite == there.nsite and here.njnt == there.njnt
    assert np.allclose(here.geom_size, change.scale * there.geom_size, atol=2e-5)
    assert np.allclose(here.geom_pos, change.scale * there.geom_pos, atol=2e-5)
    assert np.allclose(here.body_mass.sum(), change.scale**3 * there.body_mass.sum(), rtol=0.01)
    seen = np.abs(here.geom_rgba - there.geom_rgba)[here.geom_group == 1]
    assert (seen.max() > 0.1) == (change.colour is not None) and (change.colour is not None) != (change.scale != 1)


def test_one_pack_has_them_and_only_suites_with_such_objects_say_so(pro_files, primitive):
    suites = load_suites("all,pro")
    pack = resolve_assets("primitive", suites)
    assert pack.identity == primitive.identity
    found = pack.changed_objects(suites)
    assert set(found) == {f"pro-{name}-object" for name in suite_names()} and set(found.values()) == {pack.changed}
    required = set(required_models(load_suites("pro")))
    assert CHANGED.keys() <= required and not required & {"red_ramekin", "yellow_bowl"}


def test_libero_finds_them_and_the_goal_can_be_read(pro_files):
    """Goal 3: a bigger bowl into the drawer of a yellow cabinet."""
    suite = load_suite("pro-goal-object")
    world = World(suite, resolve_assets("primitive", [suite]))
    try:
        world.start(suite.task(3))
        observation = world.reset(0)
        categories = observation.scene.facts.categories
        assert {"yellow_cabinet", "bigger_akita_black_bowl"} <= set(categories.values())
        assert not world.goal_holds and world.fallen(world.state) == []
        assert ("in", "bigger_akita_black_bowl_1", "yellow_cabinet_1_top_region") in observation.scene.facts.goal
    finally:
        world.close()


def test_an_object_that_falls_is_named(pro_files):
    suite = load_suite("pro-goal-swap")
    world = World(suite, resolve_assets("primitive", [suite]))
    try:
        world.start(suite.task(1))
        bowl = world.reset(0).scene.bodies["akita_black_bowl_1"].pos
        state = world.state
        (place,) = [i for i in range(len(state) - 2) if np.allclose(state[i : i + 3], bowl, atol=1e-3)]
        state[place] += 0.3
        assert world.fallen(state) == ["akita_black_bowl_1"]
    finally:
        world.close()


def test_runs_with_other_objects_are_not_compared_and_parts_with_and_without_them_are_joined(tmp_path):
    def run(name, suites, **config):
        return with_tasks(tmp_path / name, {(suite, 0): "sf" for suite in suites}, config=config)

    here, there = ({"pro-goal-object": digit * 64} for digit in "12")
    base = run("base", ["pro-goal-object", "goal"], changed_objects=here)
    with pytest.raises(NotComparableError, match="changed_objects.pro-goal-object"):
        compare([base, run("other", ["pro-goal-object", "goal"], changed_objects=there)])
    with pytest.raises(NotComparableError, match="not said"):
        compare([base, run("silent", ["pro-goal-object", "goal"])])
    assert compare([base, run("goal", ["goal"])])[1].pairs.count == 2
    merged, _ = merge([run("part", ["goal"]), run("changed", ["pro-goal-object"], changed_objects=here)])
    assert merged.config["changed_objects"] == here and set(merged.config["suites"]) == {"goal", "pro-goal-object"}
