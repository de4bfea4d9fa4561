"""The simulator interface of rollouts and recording, and that LIBERO's simulator has it."""

from vla_bench.world.protocol import RecordingSimulator, Simulator, make_simulator

from ..rollout.fakes import SUITE, FakeSimulator


def test_libero_s_simulator_is_one(make_world):
    world = make_world("object", 0)
    assert isinstance(world, Simulator) and isinstance(world, RecordingSimulator)


def started(kind):
    simulator = kind(SUITE)
    simulator.start(SUITE.task(0))
    simulator.reset(0)
    return simulator


class Frozen(FakeSimulator):
    step = None


def test_a_simulator_for_evaluation_need_not_record():
    assert isinstance(started(FakeSimulator), Simulator) and not isinstance(started(FakeSimulator), RecordingSimulator)
    assert not isinstance(started(Frozen), Simulator)


def test_it_is_made_for_a_suite(pack):
    simulator = make_simulator(SUITE, pack)
    assert simulator.suite is SUITE and simulator.image_size == SUITE.image_size
    simulator.close()
