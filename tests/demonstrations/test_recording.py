"""What is recorded of an episode of the expert."""

import numpy as np

from vla_bench.demonstrations.disturbance import Disturbance
from vla_bench.demonstrations.recording import Ending, record
from vla_bench.policies.expert import Expert
from vla_bench.world.observation import Sight

from .common import SUITE, RecordedExpert


def test_replayed_as_libero_s_tools_do_it_succeeds_again(calm, world):
    """From the first state, settled, with nothing but the actions; what is seen is what was recorded, before each action."""
    demo = calm.demo
    assert np.array_equal(demo.start.state, demo["states"][0]) and len(demo.start.fixtures) == 2
    seen = world.begin(world.key, demo.start, Sight.IMAGES)
    for t, action in enumerate(demo["actions"]):
        if t:
            assert np.array_equal(world.state, demo["states"][t])
        if t % 20 == 0:
            assert np.array_equal(seen.images["agentview"], demo["obs/agentview_rgb"][t])
            assert np.array_equal(seen.images["robot0_eye_in_hand"], demo["obs/eye_in_hand_rgb"][t])
            assert np.array_equal(seen.joint_pos, demo["obs/joint_states"][t])
            bowl = demo.object_names.index("akita_black_bowl_1")
            assert np.array_equal(seen.scene.bodies["akita_black_bowl_1"].pos, demo.object_pos[t, bowl])
        done, seen = world.step(action, Sight.IMAGES)
        assert done == (t == len(demo) - 1)


def test_actions_are_the_expert_s_and_a_push_is_not_recorded(world, monkeypatch):
    seed = next(s for s in range(99) if any(10 < p.start < 30 for p in Disturbance(s, 1.0, SUITE.horizon).plan))
    expert = RecordedExpert(world, monkeypatch)
    recording = record(world, expert, 0, seed, 1.0)
    demo, counts, disturbance = recording.demo, recording.counts, Disturbance(seed, 1.0, SUITE.horizon)
    assert recording.ending is Ending.SUCCESS and counts.noops == 0
    pushed = [disturbance.at(step) is not None for step in range(counts.steps)]
    free = [step for step in range(counts.steps) if not pushed[step]]
    assert counts.pushes == demo.attributes["pushes"] == sum(p.start < counts.steps for p in disturbance.plan) >= 1
    assert len(expert.actions) == len(expert.executed) == counts.steps > len(demo) == len(free)
    assert np.array_equal(demo["actions"], [expert.actions[step] for step in free])
    noisy = [disturbance.with_noise(step, expert.actions[step]) for step in free]
    assert np.array_equal(noisy, [expert.executed[step] for step in free]) and not np.allclose(noisy, demo["actions"])
    for step in np.flatnonzero(pushed):
        assert np.array_equal(expert.executed[step], [*disturbance.at(step).move, expert.actions[step][6]])
        assert not np.array_equal(expert.executed[step], expert.actions[step])
    # A new segment begins exactly where time is missing, and no chunk reaches across.
    assert np.array_equal(np.diff(demo.segment) > 0, np.diff(free) > 1)
    assert demo.segment[0] == 0 and demo.segment[-1] >= 1
    starts = demo.chunk_starts(8)
    assert {t for t in range(len(free) - 7) if free[t + 7] == free[t] + 7} == set(starts.tolist())


def test_a_no_op_is_neither_executed_nor_recorded(world, monkeypatch, calm):
    expert = RecordedExpert(world, monkeypatch, idle_at=(4, 9))
    recording = record(world, expert, 0, 5, 0.0)
    assert recording.ending is Ending.SUCCESS and recording.counts.noops == 2
    assert len(expert.executed) == recording.counts.steps == len(recording.demo) and not recording.demo.segment.any()
    assert np.array_equal(recording.demo["actions"][:4], calm.demo["actions"][:4])


def test_an_expert_that_only_waits_fails_in_finite_time(world):
    class Waits:
        reset = lambda self, key: None  # noqa: E731
        act = lambda self, observations: [type("Chunk", (), {"actions": np.zeros((1, 7))})]  # noqa: E731

    recording = record(world, Waits(), 0, 5, 0.0)
    assert recording.ending is Ending.FAILURE and recording.demo is None and recording.counts.steps == 0


def test_what_the_expert_did_not_do_is_not_kept(world, monkeypatch):
    """A start in which something fell, and a goal that comes true while the arm is pushed."""
    seed = next(s for s in range(99) if Disturbance(s, 1.0, SUITE.horizon).plan[0].start == 0)
    step = world.step
    monkeypatch.setattr(world, "step", lambda *how: (world.steps >= 2, step(*how)[1]))
    won = record(world, Expert(), 0, seed, 1.0)
    assert (won.ending, won.counts.steps, won.counts.pushes, won.demo) == (Ending.REJECTED, 3, 1, None)
    monkeypatch.setattr(world, "is_sound", lambda start: False)
    assert record(world, Expert(), 0, seed, 0.0).ending is Ending.REJECTED
