"""What stands in the way."""

import numpy as np
import pytest

from vla_bench.policies.expert.plans import roofed
from vla_bench.policies.expert.shapes import DOOR, SHAPES, doors, shape_of, top_between
from vla_bench.world.observation import Pose

from ...scenes import make_scene, pose


def test_obstacles_on_the_way():
    scene = make_scene({"milk": Pose(np.array([0.0, 0.0, 0.07]), np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]))})
    top = top_between(scene, np.array([-0.2, 0.0, 0.1]), np.array([0.2, 0.0, 0.1]), 0.05)
    assert top == pytest.approx(0.131, abs=1e-3)
    assert top_between(scene, np.array([-0.2, 0.3, 0.1]), np.array([0.2, 0.3, 0.1]), 0.05) == -np.inf


def test_an_object_of_libero_pro_has_the_shape_of_its_original_at_its_own_size():
    scene = make_scene(
        {"bigger_akita_black_bowl": pose(0, 0, 0.9), "yellow_plate": pose(0.3, 0, 0.9), "unknown": pose(0, 0.3, 0.9)}
    )
    bowl, big = SHAPES["akita_black_bowl"], shape_of(scene, "bigger_akita_black_bowl_1")
    assert big.rim == 1.5 * bowl.rim and big.half == tuple(1.5 * each for each in bowl.half) and big.lean == bowl.lean
    assert shape_of(scene, "yellow_plate_1") == SHAPES["plate"] and shape_of(scene, "unknown_1") is None


def test_the_microwave_has_a_roof_and_a_door_that_is_in_the_way():
    scene = make_scene({"microwave": pose(0, 0, 0.9)})
    scene.facts.joint_regions["microwave_1"] = ("hinge",)
    scene.facts.regions["heating"] = "microwave_1"
    assert roofed(scene, "heating") == "microwave_1" and roofed(scene, "elsewhere") == ""
    tip = np.array([[0.25, -0.02, 0.1]])
    for angle, x, y in ((0.0, 0.0775, -0.108), (-np.pi / 2, -0.1925, -0.338)):
        scene.joints["hinge"] = angle
        ((shape, at),) = doors(scene)
        assert shape is DOOR
        assert np.allclose((at.pos + at.mat @ tip[0])[:2], [x, y])
        assert shape.distance(at, at.pos + tip @ at.mat.T)[0] == 0.0
