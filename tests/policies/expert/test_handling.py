"""Out of a drawer, and out from under one."""

from vla_bench.policies.expert.handling import from_inside, from_under
from vla_bench.policies.expert.shapes import SHAPES, obstacles

from ...scenes import drawer_scene, pose


def test_an_object_leaves_from_under_an_open_drawer():
    scene = drawer_scene(pose(0.09, -0.15, 0.9), pulled=0.15)
    aside = from_under(scene, "akita_black_bowl_1")
    assert aside[0] > 0.07 and abs(aside[1]) < 1e-9 and aside[2] == 0.0
    assert not from_under(drawer_scene(pose(0.09, -0.15, 0.9), pulled=0.0), "akita_black_bowl_1").any()
    inside = drawer_scene(pose(0.0, -0.15, 1.06), pulled=0.15)
    assert not from_under(inside, "akita_black_bowl_1").any()
    assert len(obstacles(inside, "akita_black_bowl_1")) == 0 and len(obstacles(scene, "akita_black_bowl_1")) == 1


def test_a_bowl_under_the_top_of_its_cabinet_is_drawn_out_before_it_is_lifted():
    def out(y, z=1.06, pulled=0.15):
        scene = drawer_scene(pose(0.0, y, z), pulled)
        scene.facts.categories["cabinet_1"] = "wooden_cabinet"
        return from_inside(scene, "akita_black_bowl_1")

    front = SHAPES["wooden_cabinet"].centre[1] - SHAPES["wooden_cabinet"].half[1]
    drawn = out(-0.13)
    assert drawn[1] < -0.02 and not drawn[[0, 2]].any()
    assert -0.13 + drawn[1] + SHAPES["akita_black_bowl"].half[0] < front  # clear of it there
    assert not out(-0.13 + drawn[1]).any() and not out(-0.20).any()
    assert not out(0.0, z=1.13).any()  # on top
