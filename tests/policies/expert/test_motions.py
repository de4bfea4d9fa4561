"""How the arm moves, in a toy arm that lags."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vla_bench.policies.expert.motions import (
    DOWN,
    METRES_A_STEP,
    RADIANS_A_STEP,
    Arm,
    about,
    go,
    lower,
    matrix,
    release,
    rotation_vector,
    travel,
)
from vla_bench.world.observation import Pose

from ...scenes import look, make_scene, play, pose


def test_rotation_vector_inverts_about():
    rng = np.random.default_rng(0)
    for angle in (0.0, 1e-9, 0.3, 2.0, np.pi - 1e-4, np.pi):
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        vector = rotation_vector(about(axis, angle))
        assert np.allclose(
            about(vector / max(np.linalg.norm(vector), 1e-12), np.linalg.norm(vector)), about(axis, angle), atol=1e-6
        )
    assert np.allclose(matrix(np.array([1.0, 0.0, 0.0, 0.0])), DOWN)


def test_go_arrives():
    arm = Arm(look(make_scene({})))
    goal = pose(0.1, -0.2, 0.1)
    path = play(go(arm, lambda: Pose(goal.pos, DOWN)), arm)
    assert np.linalg.norm(path[-1] - goal.pos) < 0.008


def test_travel_clears_what_stands_between():
    arm = Arm(look(make_scene({}), pos=(-0.15, 0.0, 0.05)))
    goal = Pose(np.array([0.15, 0.0, 0.03]), DOWN)
    path = play(travel(arm, lambda: goal, height=0.2), arm)
    assert np.linalg.norm(path[-1] - goal.pos) < 0.01
    between = path[np.abs(path[:, 0]) < 0.06]
    assert len(between) and between[:, 2].min() > 0.13


@pytest.mark.parametrize(("slant", "least", "most"), [(0.0, 0.03, 0.08), (1.0, 0.0, 0.015)])
def test_a_slanted_descent_follows_the_axis_of_the_tool(slant, least, most):
    arm = Arm(look(make_scene({}), pos=(0.0, -0.1, 0.3), lean=0.4))
    goal = Pose(np.zeros(3), arm.mat)
    path = play(travel(arm, lambda: goal, 0.3, slant=slant), arm, lag=0.15)
    assert np.linalg.norm(path[-1]) < 0.016
    low = path[(path[:, 2] < 0.12) & (path[:, 2] > 0.04)]
    assert least <= np.linalg.norm(np.cross(low, goal.mat[:, 2]), axis=1).max() < most


def test_the_hand_turns_all_the_way_and_stands_before_it_arrives():
    arm, mat = Arm(look(make_scene({}), pos=(-0.3, 0.0, 0.2))), DOWN
    goal = Pose(np.array([0.1, 0.0, 0.2]), about(np.array([0.0, 1.0, 0.0]), 0.6) @ DOWN)
    turns, left = [], []
    for action in go(arm, lambda: goal):
        turns.append(np.linalg.norm(action[3:6]))
        left.append((goal.pos[0] - arm.pos[0], np.linalg.norm(rotation_vector(goal.mat @ arm.mat.T))))
        mat = about(action[3:6] / turns[-1], turns[-1] * RADIANS_A_STEP) @ mat
        there = look(arm.scene, arm.pos + action[:3] * METRES_A_STEP)
        arm.observe(replace(there, eef_quat=Rotation.from_matrix(mat).as_quat()))
    way = [turn for turn, (far, _) in zip(turns, left, strict=True) if far > 0.15]
    assert len(way) > 15 and max(way) < 1.5 * min(way)  # not over in the first few steps
    assert all(turn < 0.1 for far, turn in left if far < 0.02)


def test_lowering_ends_where_something_holds_it_up():
    arm = Arm(look(make_scene({}), pos=(0.0, 0.0, 0.12)))
    goal = Pose(np.array([0.0, 0.0, 0.05]), DOWN)
    path = play(lower(arm, lambda: goal, speed=1.0), arm, ground=0.09)
    assert path[-1][2] == pytest.approx(0.09) and len(path) < 9
    arm.observe(look(arm.scene, (0.0, 0.0, 0.12)))
    assert play(lower(arm, lambda: goal, speed=1.0), arm)[-1][2] == pytest.approx(0.05, abs=0.006)


def test_release_opens_no_further_than_needed():
    arm, opening = Arm(look(make_scene({}), opening=0.01)), 0.01
    for _ in release(arm):
        opening += 0.008
        arm.observe(look(arm.scene, opening=opening))
    assert 0.035 < opening < 0.045


def test_going_ends_soon_where_something_holds_the_tool_up():
    for motion in (go, lambda arm, goal: travel(arm, goal, height=-np.inf)):
        arm = Arm(look(make_scene({}), pos=(0.0, 0.0, 0.12)))
        goal = Pose(np.array([0.0, 0.0, 0.05]), DOWN)
        path = play(motion(arm, lambda: goal), arm, ground=0.09)  # noqa: B023 - called at once
        assert path[-1][2] == pytest.approx(0.09) and (path[:, 2] == path[-1][2]).sum() <= 4
        assert len(play(lower(arm, lambda: goal), arm, ground=0.09)) == 1  # noqa: B023
