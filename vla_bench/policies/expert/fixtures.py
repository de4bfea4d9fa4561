"""Motions on fixtures: turn a knob, open and close a drawer, close a door."""

from __future__ import annotations

import numpy as np

from vla_bench.policies.expert.grasps import FINGER, upright
from vla_bench.policies.expert.handling import MARGIN, retreat
from vla_bench.policies.expert.motions import (
    CLOSE,
    DOWN,
    Arm,
    Motion,
    about,
    about_z,
    drive,
    go,
    grip,
    open_wide,
    release,
    travel,
)
from vla_bench.policies.expert.shapes import HINGE, shape_of, top_between
from vla_bench.world.observation import Pose, Scene

TURNED_ON, TURNED_OFF = 0.5, 0.0  # rad: on from the first, off below the second
IS_OPEN, PULLED = -0.14, -0.150  # m, joint positions: below the first a drawer counts as open; the second is how far it is pulled
ROOMY = -0.135  # m, joint position at which a bowl fits in; further out the drawer would hang above objects on the table
PUSHED = 0.001  # m, joint position up to which a drawer is pushed
HANDLE = np.array(
    [-0.006, -0.113, -0.0045]
)  # m, position of a drawer's handle from the centre of its region, in the cabinet's frame
BELOW = 0.006  # m, under a handle's middle: from there it is opened at a first attempt with the hand 12 mm higher or lower
IS_SHUT, DOOR_SHUT = 0.0, -0.004  # joint positions above which a drawer (m) and a door (rad) count as closed
PUSH = np.array([0.17, -0.037, 0.170])  # m, where closed fingers push the door, from its hinge: along the door, off it, up
SHELF = np.array([-0.020, -0.038, 0.0])  # m, target of a mug in the microwave's frame: as deep as the hand fits under the roof
FIN = np.array([-0.020, 0.0, 0.036])  # m, grasp point on the stove's knob when it is off, in the stove's frame


def turn_knob(arm: Arm, stove: str, on: bool = True) -> Motion:
    """Grasp the fin of the stove's knob and turn it on or off, and the hand with it, about the knob's axis."""
    joint = arm.scene.facts.joint_regions[stove][0]

    def at(angle: float) -> Pose:
        body = arm.scene.bodies[stove]
        turn = body.mat @ about_z(angle)
        return Pose(body.pos + turn @ FIN, turn @ DOWN)

    first = at(arm.scene.joints[joint])
    yield from open_wide(arm)
    yield from travel(arm, lambda: first, top_between(arm.scene, arm.pos, first.pos, 0.05) + FINGER + MARGIN + 0.04)
    yield from grip(arm, lambda: first)
    for _ in range(40):  # not `drive`: the tool turns without moving
        angle = arm.scene.joints[joint]
        if angle > TURNED_ON + 0.2 if on else angle < TURNED_OFF:
            break
        yield arm.toward(at(angle + (0.35 if on else -0.35)))
    yield from retreat(arm)


def open_drawer(arm: Arm, region: str, far: float = PULLED) -> Motion:
    """Close the fingers over the handle, the hand leaning far back, and pull until the drawer's joint is at `far` (m)."""
    joint, direction = arm.scene.facts.joint_regions[region][0], outward(arm.scene, region)
    leaning = _leaning(direction, 1.15)

    def at(gap: float) -> Pose:
        return Pose(_handle(arm, region) - [0.0, 0.0, BELOW] + gap * direction, leaning)

    start = at(0.07)
    yield from open_wide(arm)
    yield from travel(arm, lambda: start, top_between(arm.scene, arm.pos, start.pos, 0.05) + FINGER + MARGIN, cone=4.0)
    yield from go(arm, lambda: at(0.0), near=0.004, steps=13)  # as deep as possible, or the fingers slip off
    yield from grip(arm, lambda: at(0.0))
    yield from drive(arm, lambda: at(0.04), lambda: arm.scene.joints[joint] < far, speed=0.7)
    yield from release(arm)
    yield from go(arm, lambda: at(0.07), near=0.02, steps=15)


def close_drawer(arm: Arm, region: str) -> Motion:
    """Push the handle with closed fingers, side by side."""
    joint, direction = arm.scene.facts.joint_regions[region][0], outward(arm.scene, region)
    sides = [_leaning(direction, 0.5) @ about_z(turn) for turn in (np.pi / 2, -np.pi / 2)]
    leaning = max(sides, key=lambda mat: np.trace(mat.T @ arm.mat))  # closed fingers are symmetric: take the nearer one

    def at(gap: float) -> Pose:
        return Pose(_handle(arm, region) + gap * direction, leaning)

    start = at(0.07)
    arm.gripper = CLOSE
    yield from travel(arm, lambda: start, top_between(arm.scene, arm.pos, start.pos, 0.05) + FINGER + MARGIN, cone=4.0)
    yield from drive(arm, lambda: at(-0.03), lambda: arm.scene.joints[joint] > PUSHED, speed=0.8)
    yield from go(arm, lambda: at(0.07), near=0.02, steps=15)


def close_door(arm: Arm, fixture: str) -> Motion:
    """Push the door from outside, beside its handle, with closed fingers reaching over its upper edge."""
    joint = arm.scene.facts.joint_regions[fixture][0]

    def at(ahead: float, gap: float = 0.0) -> Pose:
        body, turn = arm.scene.bodies[fixture], about_z(min(arm.scene.joints[joint] + ahead, 0.1))
        return Pose(body.pos + body.mat @ (HINGE + turn @ (PUSH - np.array([0.0, gap, 0.0]))), DOWN)

    start = at(0.0, gap=0.05)
    arm.gripper = CLOSE
    yield from travel(arm, lambda: start, top_between(arm.scene, arm.pos, start.pos, 0.05) + FINGER + MARGIN, near=0.02)
    yield from drive(arm, lambda: at(0.35), lambda: arm.scene.joints[joint] > DOOR_SHUT)
    yield from go(arm, lambda: at(0.0, gap=0.06), near=0.02, steps=10)


def shelf(arm: Arm, name: str, fixture: str) -> np.ndarray:
    """Target position (3,) of a mug's origin in the microwave, in m."""
    body, shape = arm.scene.bodies[fixture], shape_of(arm.scene, fixture)
    sole = arm.scene.bodies[name].pos[2] - shape_of(arm.scene, name).heights(arm.scene.bodies[name])[0]
    return body.pos + body.mat @ SHELF + np.array([0.0, 0.0, shape.seat + sole + 0.004])


def middle_of_opening(scene: Scene, region: str) -> float:
    """Distance in m, in opening direction, from the centre of a drawer's region to the centre of its open part.

    The open part ends at the drawer's front and at the handles of the drawers above.
    """
    return 0.098 + 0.5 * scene.joints[scene.facts.joint_regions[region][0]]


def outward(scene: Scene, region: str) -> np.ndarray:
    """Opening direction of a drawer, unit vector (3,)."""
    return -scene.bodies[scene.facts.regions[region]].mat[:, 1]


def _handle(arm: Arm, region: str) -> np.ndarray:
    return arm.scene.sites[region].pos + arm.scene.bodies[arm.scene.facts.regions[region]].mat @ HANDLE


def _leaning(outward: np.ndarray, lean: float) -> np.ndarray:
    """Orientation (3, 3) of the tool: pointing down, the fingers in line along `outward`, then leaning that way by `lean` rad."""
    across = np.array([-outward[1], outward[0], 0.0])
    return about(across, lean) @ upright(np.arctan2(outward[1], outward[0]) - np.pi / 2)
