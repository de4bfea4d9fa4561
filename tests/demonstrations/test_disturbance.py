"""Pushes and noise."""

import numpy as np
import pytest

from vla_bench.demonstrations.disturbance import DISTANCE, Disturbance
from vla_bench.world.observation import Sight

from .common import SUITE


def test_noise_is_bounded_correlated_and_only_in_disturbed_episodes():
    still, down = np.zeros(7), np.array([0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0])
    disturbed = [Disturbance(seed, 1.0, 280) for seed in range(60)]
    moves = np.array([[each.with_noise(step, still) for step in range(280)] for each in disturbed])
    spread = moves[..., :6].std(axis=1)
    assert spread[:, :3].mean() == pytest.approx(0.3, abs=0.03) and spread[:, 3:].mean() == pytest.approx(0.075, abs=0.01)
    assert spread[:, :3].mean(axis=1).max() < 0.6 and spread[:, :3].mean(axis=1).min() < 0.15  # an episode's own
    later = np.mean(moves[:, 6:, :3] * moves[:, :-6, :3]) / np.mean(moves[..., :3] ** 2)
    assert later == pytest.approx(np.exp(-1), abs=0.08) and not moves[..., 6].any()
    assert max(np.abs(each.with_noise(step, down)).max() for each in disturbed for step in range(280)) == 1.0
    assert np.array_equal(Disturbance(3, 0.0, 280).with_noise(5, down), down)


def test_a_push_moves_the_arm_by_what_it_says(world):
    moved = []
    for seed in range(6):
        push = Disturbance(seed, 1.0, SUITE.horizon).plan[0]
        before = world.reset(0).eef_pos
        for step in range(push.steps + 4):
            move = push.move if step < push.steps else np.zeros(6)
            _, seen = world.step(np.array([*move, -1.0]), Sight.STATE)
        moved.append(np.linalg.norm(seen.eef_pos - before))
    assert DISTANCE[0] * 0.7 < min(moved) and max(moved) < DISTANCE[1] * 1.3


def test_pushes_are_drawn_for_their_share_of_episodes():
    plans = [Disturbance(seed, 0.3, 280).plan for seed in range(400)]
    assert 0.23 < np.mean([bool(plan) for plan in plans]) < 0.37
    assert 0.1 < np.mean([plan[0].start == 0 for plan in plans if plan]) < 0.4
    assert all(np.abs(push.move).max() <= 1 for plan in plans for push in plan)
    assert all(a.start + a.steps < b.start for plan in plans for a, b in zip(plan, plan[1:], strict=False))
    assert not any(Disturbance(seed, 0.0, 280).plan for seed in range(50))
    one, same = Disturbance(7, 1.0, 280), Disturbance(7, 1.0, 280)
    assert [p.start for p in one.plan] == [p.start for p in same.plan]
