"""All 40 tasks, all 2,000 init states, on the primitive pack; and on the meshes where they are at hand."""

import numpy as np
import pytest

from vla_bench.suites import load_suite, suite_names
from vla_bench.world.assets import resolve_assets
from vla_bench.world.env import World

from ..conftest import MESHES


def check_tasks(suite_name, pack):
    """Every task starts; every init state fits; no goal holds at the start."""
    world = World(load_suite(suite_name), pack)
    try:
        for task in world.suite.tasks:
            world.start(task)
            assert len(world._states) == world.suite.init_states
            for state in world._states:
                world.place(state)
                assert not world._env._check_success(), (task.name, "goal holds at the start")
            world.reset(0)
            assert np.isfinite(world.state).all()
    finally:
        world.close()


@pytest.mark.parametrize("suite", suite_names())
def test_primitive(suite, primitive):
    check_tasks(suite, primitive)


@pytest.mark.skipif(not MESHES.is_dir(), reason="the meshes lie outside the repository")
@pytest.mark.parametrize("suite", suite_names())
def test_meshes(suite):
    check_tasks(suite, resolve_assets(str(MESHES)))
