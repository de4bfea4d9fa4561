"""Scenes made up for the expert: things by their category, what it sees of them, and a toy arm."""

from dataclasses import replace

import numpy as np

from vla_bench.policies.expert.motions import about_z
from vla_bench.records import EpisodeKey
from vla_bench.world.observation import Observation, Pose, Scene, SceneConstants

BASE = np.array([-0.6, 0.0, 0.0])
AWAY = np.array([0.0, 0.25, 0.1])


def pose(x, y, z, turn=0.0):
    return Pose(np.array([x, y, z], float), about_z(turn))


def make_scene(bodies, goal=()):
    """`bodies`: category -> pose; the instance is called category_1."""
    categories = {f"{category}_1": category for category in bodies}
    facts = SceneConstants(goal=goal, of_interest=(), categories=categories, regions={}, region_sizes={})
    return Scene(facts, {f"{category}_1": pose for category, pose in bodies.items()}, {}, {})


def look(scene, pos=(-0.15, 0.0, 0.25), step=0, opening=0.08, init_state=0, lean=0.0):
    key = EpisodeKey("object", 0, init_state)
    fingers = np.array([opening / 2, -opening / 2])
    return Observation(
        key, step, "", np.array(pos, float), np.array([np.cos(lean / 2), 0.0, 0.0, np.sin(lean / 2)]), fingers, scene
    )


def play(motion, arm, steps=200, lag=0.3, ground=-np.inf):
    """A toy arm that goes `lag` of the way it is asked to, but not below `ground`; returns the path."""
    path = [arm.pos]
    for action in motion:
        assert np.abs(action).max() <= 1.0
        path.append(arm.pos + lag * 0.05 * action[:3])
        path[-1][2] = max(path[-1][2], ground)
        arm.observe(replace(arm.now, eef_pos=path[-1]))
        assert len(path) < steps
    return np.array(path)


def drawer_scene(bowl, pulled):
    """A cabinet whose top drawer, a region of 20 x 15 cm, stands out by `pulled`, and a bowl."""
    bodies = {"cabinet_1": pose(0, 0, 0.9), "akita_black_bowl_1": bowl}
    site = Pose(np.array([0.0, -pulled, 1.09]), np.eye(3))
    size = {"cabinet_1_top": np.array([0.10, 0.075, 0.03])}
    categories = {"cabinet_1": "cabinet", "akita_black_bowl_1": "akita_black_bowl"}
    facts = SceneConstants((), (), categories, {"cabinet_1_top": "cabinet_1"}, size, {"cabinet_1_top": ("level",)})
    return Scene(facts, bodies, {"cabinet_1_top": site}, {"level": -pulled})
