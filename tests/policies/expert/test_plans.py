"""What is done for a goal, where it is put down, and with which turn."""

import numpy as np
import pytest

from vla_bench.policies.expert.fixtures import middle_of_opening
from vla_bench.policies.expert.grasps import PALM
from vla_bench.policies.expert.motions import Arm
from vla_bench.policies.expert.plans import beside, holds, lowest_in, solve, turn_into

from ...scenes import drawer_scene, look, make_scene, pose


def test_the_palm_stays_above_the_sides_of_a_basket():
    scene = make_scene({"basket": pose(0.0, 0.25, 0.0)})
    scene.facts.regions["basket_1_contain_region"] = "basket_1"
    assert lowest_in(scene, "basket_1_contain_region") + PALM == pytest.approx(0.146 + 0.008, abs=1e-6)
    assert lowest_in(make_scene({"akita_black_bowl": pose(0, 0, 0)}), "akita_black_bowl_1_contain_region") == -np.inf


def test_what_shares_a_place_stands_side_by_side():
    goal = (("on", "moka_pot_1", "cook"), ("on", "moka_pot_2", "cook"))
    scene = make_scene({"moka_pot": pose(0, 0, 0)}, goal)
    scene.facts.region_sizes["cook"] = np.array([0.075, 0.075, 0.0025])
    scene.sites["cook"] = pose(0, 0, 0, 0.5)
    first, second = (beside(scene, name, "cook") for name in ("moka_pot_1", "moka_pot_2"))
    assert np.linalg.norm(first - second) > 2 * 0.041 + 0.005 and np.linalg.norm(first) < 0.06
    alone = make_scene({"moka_pot": pose(0, 0, 0)}, goal[:1])
    assert not beside(alone, "moka_pot_1", "cook").any()


def test_an_open_drawer_is_filled_between_its_front_and_the_handles_above():
    scene = drawer_scene(pose(0, 0, 0), pulled=0.14)
    front, handles, middle = -0.0645 - 0.14, -0.110, 0.0113 - 0.14  # along the cabinet's y axis
    assert middle - middle_of_opening(scene, "cabinet_1_top") == pytest.approx((front + handles) / 2, abs=0.002)


def test_it_tries_again_when_the_goal_only_seems_to_hold():
    scene = make_scene(
        {"plate": pose(0, 0, 0.9), "akita_black_bowl": pose(0.02, 0, 0.91)}, (("on", "akita_black_bowl_1", "plate_1"),)
    )
    arm = Arm(look(scene, pos=(0.0, 0.0, 1.1)))
    plan = solve(arm)
    actions = np.array([next(plan) for _ in range(8)])
    assert np.allclose(actions[:5, :6], 0.0) and np.abs(actions[5:, :3]).max() > 0.5


def test_holds_reads_the_goal():
    on = ("on", "akita_black_bowl_1", "plate_1")
    assert holds(make_scene({"plate": pose(0, 0, 0.9), "akita_black_bowl": pose(0.01, 0.01, 0.905)}), on)
    assert not holds(make_scene({"plate": pose(0, 0, 0.9), "akita_black_bowl": pose(0.05, 0.0, 0.905)}), on)


def test_a_long_object_is_turned_into_a_narrow_region():
    scene = make_scene({"black_book": pose(0, 0, 0.9, 0.7)})  # its long side is its y axis
    scene.facts.region_sizes["slot"] = np.array([0.03, 0.06, 0.06])
    scene.sites["slot"] = pose(0, 0, 0.95)
    assert turn_into(scene, "black_book_1", "slot") == pytest.approx(-0.7)
    scene.facts.region_sizes["slot"] = np.array([0.09, 0.09, 0.06])
    assert turn_into(scene, "black_book_1", "slot") == 0.0
