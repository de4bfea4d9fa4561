"""All 40 tasks, all 2,000 init states, on the primitive pack; and on LIBERO's meshes where they are installed."""

from types import SimpleNamespace

import numpy as np
import pytest

from vla_bench.suites import load_suite, suite_names
from vla_bench.world.env import World
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import init_states_file


class NoRenderer:
    """Stands in for robosuite's OpenGL context, which takes longer to make than all the rest of a task."""

    offscreen = True

    def __init__(self, sim, device_id):
        self.vopt = SimpleNamespace(geomgroup=[0] * 6)
        self.gl_ctx = SimpleNamespace(make_current=lambda: None)
        sim.forward()  # a part of a reset, as robosuite's own
        sim.add_render_context(self)


def check_tasks(suite_name, pack, monkeypatch):
    """Every task starts; every init state fits; no goal holds at the start.  Both cameras render the first task."""
    world = World(load_suite(suite_name), pack)
    try:
        for task in world.suite.tasks:
            world.start(task)
            states = read_init_states(init_states_file(world.suite, task))
            assert len(states) == world.suite.init_states
            for state in states:
                world.place(state)
                assert world.is_sound(state), (task.name, "goal holds at the start")
            world.reset(0)
            assert np.isfinite(world.state).all()
            if task is world.suite.tasks[0]:
                assert all(len(np.unique(image)) > 50 for image in world.render().values())
                monkeypatch.setattr("robosuite.environments.base.MjRenderContextOffscreen", NoRenderer)
    finally:
        world.close()


@pytest.mark.parametrize("suite", suite_names())
def test_primitive(suite, primitive, monkeypatch):
    check_tasks(suite, primitive, monkeypatch)


@pytest.mark.parametrize("suite", suite_names())
def test_meshes(suite, meshes, monkeypatch):
    check_tasks(suite, meshes, monkeypatch)
