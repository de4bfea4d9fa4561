"""What is done to furniture: knobs are turned, drawers are opened and closed."""

from __future__ import annotations

import numpy as np

from vla_bench.policies.expert.grasps import FINGER, upright
from vla_bench.policies.expert.handling import MARGIN, retreat
from vla_bench.policies.expert.motions import CLOSE, DOWN, Arm, Motion, about, about_z, go, open_wide, shut, travel
from vla_bench.policies.expert.shapes import top_between
from vla_bench.world.observation import Pose, Scene

TURNED_ON = 0.5  # rad
IS_OPEN, PULLED = -0.14, -0.152  # m: from where a drawer counts as open, and how far it is pulled
PUSHED = 0.001
HANDLE = np.array([-0.006, -0.113, -0.0045])  # of a drawer, from the middle of its region, in the cabinet's frame
FIN = np.array([-0.020, 0.0, 0.036])  # where the stove's knob is held, in the stove's frame, when it is off


def turn_knob(arm: Arm, stove: str) -> Motion:
    """Take the fin of the stove's knob and turn it, and the hand with it, about the knob's axis."""
    joint = arm.scene.facts.joint_regions[stove][0]

    def at(angle: float) -> Pose:
        body = arm.scene.bodies[stove]
        turn = body.mat @ about_z(angle)
        return Pose(body.pos + turn @ FIN, turn @ DOWN)

    first = at(arm.scene.joints[joint])
    yield from open_wide(arm)
    yield from travel(arm, lambda: first, top_between(arm.scene, arm.pos, first.pos, 0.05) + FINGER + MARGIN + 0.04)
    yield from shut(arm)
    for _ in range(40):
        angle = arm.scene.joints[joint]
        if angle > TURNED_ON + 0.2:
            break
        yield arm.toward(at(angle + 0.35))
    yield from retreat(arm)


def open_drawer(arm: Arm, region: str) -> Motion:
    """Close the fingers over the handle, leaning far back, and pull."""
    joint, way = arm.scene.facts.joint_regions[region][0], outward(arm.scene, region)
    leaning = _leaning(way, 1.15)

    def at(gap: float) -> Pose:
        return Pose(_handle(arm, region) + gap * way, leaning)

    start = at(0.07)
    yield from open_wide(arm)
    yield from travel(arm, lambda: start, top_between(arm.scene, arm.pos, start.pos, 0.05) + FINGER + MARGIN, cone=4.0)
    yield from go(arm, lambda: at(0.0), near=0.006, steps=25)
    yield from shut(arm)
    for _ in range(40):
        if arm.scene.joints[joint] < PULLED:
            break
        yield arm.toward(at(0.04))
    yield from open_wide(arm)
    yield from go(arm, lambda: at(0.07), near=0.02, steps=15)


def close_drawer(arm: Arm, region: str) -> Motion:
    """Push the handle with closed fingers, side by side."""
    joint, way = arm.scene.facts.joint_regions[region][0], outward(arm.scene, region)
    leaning = _leaning(way, 0.5) @ about_z(np.pi / 2)

    def at(gap: float) -> Pose:
        return Pose(_handle(arm, region) + gap * way, leaning)

    start = at(0.07)
    arm.gripper = CLOSE
    yield from travel(arm, lambda: start, top_between(arm.scene, arm.pos, start.pos, 0.05) + FINGER + MARGIN, cone=4.0)
    for _ in range(60):
        if arm.scene.joints[joint] > PUSHED:
            break
        yield arm.toward(at(-0.03), speed=0.8)
    yield from go(arm, lambda: at(0.07), near=0.02, steps=15)


def outward(scene: Scene, region: str) -> np.ndarray:
    """Where a drawer slides to."""
    return -scene.bodies[scene.facts.regions[region]].mat[:, 1]


def _handle(arm: Arm, region: str) -> np.ndarray:
    return arm.scene.sites[region].pos + arm.scene.bodies[arm.scene.facts.regions[region]].mat @ HANDLE


def _leaning(outward: np.ndarray, lean: float) -> np.ndarray:
    """The tool pointing down, the fingers one behind the other along `outward`, then leaning that way by `lean` rad."""
    across = np.array([-outward[1], outward[0], 0.0])
    return about(across, lean) @ upright(np.arctan2(outward[1], outward[0]) - np.pi / 2)
