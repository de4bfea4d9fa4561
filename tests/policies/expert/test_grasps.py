"""Where a hand takes hold of a thing."""

import numpy as np
import pytest

from vla_bench.policies.expert.grasps import PALM, WIDEST, best_grasp, candidates, crowding, side_of, upright, yaw
from vla_bench.policies.expert.motions import about_z
from vla_bench.policies.expert.shapes import SHAPES, Hold, obstacles
from vla_bench.world.observation import Pose

from ...scenes import AWAY, BASE, drawer_scene, make_scene, pose


@pytest.mark.parametrize("category", [name for name, shape in SHAPES.items() if shape.hold is not Hold.NONE])
@pytest.mark.parametrize("turn", [0.0, 0.8, -2.5])
def test_every_grasp_fits_the_hand(category, turn):
    scene = make_scene({category: pose(0.0, 0.1, 0.1, turn)})
    shape, body = SHAPES[category], scene.bodies[f"{category}_1"]
    low, high = shape.heights(body)
    grasps = candidates(scene, f"{category}_1")
    assert grasps
    for grasp in grasps:
        mat = grasp.pose.mat
        assert np.allclose(mat @ mat.T, np.eye(3)) and np.linalg.det(mat) > 0 and mat[2, 2] < -0.9
        assert low < grasp.pose.pos[2] < high + 0.005
        if shape.hold is Hold.ACROSS:
            assert 2 * np.abs(mat[:, 1] @ body.mat) @ np.array(shape.half) < WIDEST


def test_the_rim_is_grasped_along_the_radius():
    scene = make_scene({"akita_black_bowl": pose(0.1, 0.1, 0.9, 0.4)})
    for grasp in candidates(scene, "akita_black_bowl_1"):
        radius = grasp.pose.pos[:2] - scene.bodies["akita_black_bowl_1"].pos[:2]
        closing = grasp.pose.mat[:2, 1] / np.linalg.norm(grasp.pose.mat[:2, 1])
        assert abs(radius @ closing) == pytest.approx(np.linalg.norm(radius), rel=1e-6)


@pytest.mark.parametrize(("category", "deep"), [("akita_black_bowl", 0.008), ("porcelain_mug", 0.02), ("white_yellow_mug", 0.02)])
def test_a_mug_is_held_deeper_than_a_bowl_and_its_rim_stays_clear_of_the_palm(category, deep):
    scene = make_scene({category: pose(0.1, 0.1, 0.9)})
    top = SHAPES[category].heights(scene.bodies[f"{category}_1"])[1]
    for grasp in candidates(scene, f"{category}_1", Hold.RIM):
        down = -grasp.pose.mat[2, 2]
        assert (top - grasp.pose.pos[2]) / down == pytest.approx(deep)
        assert grasp.pose.pos[2] + PALM * down > top + 0.01


def test_a_neighbour_is_avoided():
    alone = {"alphabet_soup": Pose(np.array([0.0, 0.0, 0.038]), np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]))}
    crowded = alone | {"milk": Pose(np.array([0.0, 0.09, 0.07]), alone["alphabet_soup"].mat)}
    free = best_grasp(make_scene(alone), "alphabet_soup_1", BASE, AWAY).pose
    scene = make_scene(crowded)
    chosen = best_grasp(scene, "alphabet_soup_1", BASE, AWAY).pose
    others = obstacles(scene, "alphabet_soup_1")
    assert crowding(free, others) > 0.2
    assert crowding(chosen, others) < 0.05


def test_the_palm_does_not_come_to_rest_on_a_neighbour():
    """As in Object 1: the end of the palm would stand on the can, before the fingers reach the flat box."""
    scene = make_scene({"cream_cheese": pose(0.0, 0.0, 0.009, np.pi), "tomato_sauce": pose(0.045, -0.097, 0.039)})
    (can, at), *others = obstacles(scene, "cream_cheese_1")
    chosen = best_grasp(scene, "cream_cheese_1", BASE, AWAY).pose
    along = np.linspace(-0.10, 0.10, 41)[:, None] * chosen.mat[:, 1]
    palm = chosen.pos + along - (PALM + 0.03) * chosen.mat[:, 2]
    assert not others and can.distance(at, palm).min() > 0.03


@pytest.mark.parametrize("turn", [0.0, 0.3, 1.0, 2.0])
def test_a_bowl_is_taken_from_the_side_that_was_asked_for(turn):
    scene, middle = make_scene({"akita_black_bowl": pose(0.0, 0.0, 0.9, turn)}), np.array([0.0, 0.0, 0.9])
    for side in (0.0, 90.0, 240.0):
        best = best_grasp(scene, "akita_black_bowl_1", BASE, AWAY, side=side)
        assert abs((side_of(best, middle) - side + 180.0) % 360.0 - 180.0) < 1.0


def test_the_second_attempt_takes_a_side_beside_the_one_that_was_asked_for():
    scene, middle = make_scene({"akita_black_bowl": pose(0.0, 0.0, 0.9)}), np.array([0.0, 0.0, 0.9])
    for side in (0.0, 90.0, 240.0):
        second = best_grasp(scene, "akita_black_bowl_1", BASE, AWAY, attempt=1, side=side)
        assert 20.0 < abs((side_of(second, middle) - side + 180.0) % 360.0 - 180.0) < 61.0


def test_a_side_without_room_is_not_taken():
    beside = {"akita_black_bowl": pose(0.0, 0.0, 0.0), "milk": pose(0.0, 0.09, 0.05)}
    scene, middle = make_scene(beside), np.zeros(3)
    assert abs(side_of(best_grasp(scene, "akita_black_bowl_1", BASE, AWAY, side=90.0), middle) - 90.0) > 20.0


def test_a_bottle_is_taken_with_the_turn_that_was_asked_for():
    scene = make_scene({"wine_bottle": pose(0.0, 0.0, 0.0)})
    for side in (0.0, 75.0, -60.0):
        best = best_grasp(scene, "wine_bottle_1", BASE, AWAY, side=side)
        assert np.degrees(yaw(best.pose.mat)) == pytest.approx(side, abs=20.0)


@pytest.mark.parametrize("turn", [-np.pi / 2, np.pi / 2 - 1e-6, np.pi / 2 + 1e-6])
def test_a_quarter_turn_is_always_the_same_one(turn):
    assert yaw(upright(turn)) == pytest.approx(-np.pi / 2, abs=1e-5) or yaw(upright(turn)) == pytest.approx(np.pi / 2, abs=1e-5)
    assert np.allclose(upright(turn), upright(-np.pi / 2), atol=1e-5)


def test_a_new_attempt_takes_another_grasp():
    scene = make_scene({"akita_black_bowl": pose(0.0, 0.1, 0.9)})
    first, second = (best_grasp(scene, "akita_black_bowl_1", BASE, AWAY, attempt).pose for attempt in (0, 1))
    assert not np.allclose(first.pos, second.pos)


@pytest.mark.parametrize("turn", [0.0, -1.5, 2.0])
def test_a_mug_is_held_by_its_handle_from_outside(turn):
    scene = make_scene({"white_yellow_mug": pose(0.1, 0.0, 0.9, turn)})
    (grasp,) = candidates(scene, "white_yellow_mug_1", Hold.HANDLE)
    body, mat = scene.bodies["white_yellow_mug_1"], grasp.pose.mat
    outward = (grasp.pose.pos - body.pos) * [1, 1, 0]
    assert abs(mat[:, 1] @ body.mat[:, 1]) == pytest.approx(1.0)  # the fingers close across the handle
    assert mat[:, 2] @ outward < -0.5 * np.linalg.norm(outward)  # and the hand leans away from the mug
    assert np.linalg.det(mat) == pytest.approx(1.0)


def test_a_bowl_is_turned_on_its_way_into_a_drawer():
    scene = drawer_scene(pose(0.0, 0.3, 0.9), pulled=0.15)
    best = best_grasp(scene, "akita_black_bowl_1", BASE, np.array([0.0, -0.15, 1.10]))
    closing = about_z(best.turn) @ best.pose.mat[:, 1]
    assert abs(closing[0]) > 0.85  # along the drawer's long side, where there is room for the outer finger
    assert abs(yaw(best.pose.mat) + best.turn) < 1.7  # what the wrist can do
