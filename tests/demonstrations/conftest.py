"""A world and an undisturbed recording in it, shared by the tests of this folder."""

import pytest

from vla_bench.demonstrations.recording import record
from vla_bench.policies.expert import Expert
from vla_bench.world.env import World

from .common import SUITE, TASK


@pytest.fixture(scope="package")
def world(pack):
    world = World(SUITE, pack)
    world.start(SUITE.task(TASK))
    yield world
    world.close()


@pytest.fixture(scope="package")
def calm(world):
    return record(world, Expert(), 0, 5, 0.0)
