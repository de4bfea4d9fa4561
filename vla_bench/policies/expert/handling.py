"""Picking things up and putting them down, with a new attempt whenever the object got lost on the way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vla_bench.policies.expert.grasps import FINGER, best_grasp
from vla_bench.policies.expert.motions import CLOSE, DOWN, Arm, Lost, Motion, about_z, go, open_wide, shut, travel
from vla_bench.policies.expert.shapes import open_drawers, shape_of, top_between
from vla_bench.world.observation import Pose, Scene

MARGIN = 0.025  # between what moves and what it passes over
SLIP = 0.05  # how far an object may move in the gripper: a bowl swings by 3 cm as its wall comes to lie between the pads
Spot = Callable[[], np.ndarray]  # where the object's origin should be, (3,)


def move_object(arm: Arm, name: str, spot: Spot, cone: float = 2.0, turn: float = 0.0, attempts: int = 6) -> Motion:
    """Bring object `name` to `spot`, turned by `turn` rad about the vertical, and let go of it there."""
    for attempt in range(attempts):
        try:
            yield from pick(arm, name, spot, attempt)
            yield from place(arm, name, spot, cone, turn)
            return
        except Lost:
            yield from retreat(arm)


def pick(arm: Arm, name: str, spot: Spot, attempt: int = 0) -> Motion:
    """Close the gripper around object `name`, wherever it is, so that it can be brought to `spot`."""
    first = best_grasp(arm.scene, name, arm.base, spot(), attempt)
    start = arm.scene.bodies[name].pos

    def grasp() -> Pose:
        return Pose(first.pos + arm.scene.bodies[name].pos - start, first.mat)

    yield from open_wide(arm)
    height = top_between(arm.scene, arm.pos, first.pos, 0.05) + FINGER + MARGIN
    yield from travel(arm, grasp, height, near=0.012)
    yield from go(arm, grasp, near=0.005, steps=12)
    if np.linalg.norm(grasp().pos - arm.pos) > 0.02:
        raise Lost(name)
    yield from shut(arm)


def place(arm: Arm, name: str, spot: Spot, cone: float = 2.0, turn: float = 0.0) -> Motion:
    """Carry the object in the gripper to `spot` and open there.  Raises Lost when it falls on the way."""
    held = arm.mat.T @ (arm.scene.bodies[name].pos - arm.pos)
    upright = arm.mat

    def watch() -> None:
        now = arm.mat.T @ (arm.scene.bodies[name].pos - arm.pos)
        if np.linalg.norm(now - held) > SLIP:
            raise Lost(name)

    def over_spot() -> Pose:
        return Pose(arm.pos + spot() - arm.scene.bodies[name].pos, about_z(turn) @ upright)

    lifted = Pose(arm.pos + np.array([0.0, 0.0, 0.025]), upright)  # gently, while the object settles between the pads
    yield from go(arm, lambda: lifted, speed=0.4, steps=6)
    aside = from_under(arm.scene, name)
    if aside.any():
        free = Pose(arm.pos + aside, upright)
        yield from go(arm, lambda: free, near=0.02, steps=25, watch=watch)
    shape = shape_of(arm.scene, name)
    hangs = arm.pos[2] - shape.heights(arm.scene.bodies[name])[0]
    height = top_between(arm.scene, arm.pos, over_spot().pos, 0.07, name) + hangs + MARGIN
    yield from travel(arm, over_spot, height, cone=cone, watch=watch)
    yield from go(arm, over_spot, near=0.005, speed=0.3, steps=15)
    yield from open_wide(arm)
    yield from retreat(arm)


def from_under(scene: Scene, name: str) -> np.ndarray:
    """The shortest way for an object from under an open drawer, (3,); nothing when there is none above it."""
    pose, shape = scene.bodies[name], shape_of(scene, name)
    for drawer, at in open_drawers(scene):
        low = drawer.heights(at)[0]
        level = [k for k in range(3) if abs(at.mat[2, k]) < 0.5]
        offset = (pose.pos - at.pos) @ at.mat
        room = np.array([drawer.half[k] + max(shape.half[:2]) - abs(offset[k]) for k in level])
        if pose.pos[2] < low and np.all(room > 0.0):
            k = level[int(room.argmin())]
            return at.mat[:, k] * np.copysign(room.min() + 0.01, offset[k])
    return np.zeros(3)


def retreat(arm: Arm, up: float = 0.08) -> Motion:
    """Open, and straight up."""
    yield from open_wide(arm)
    goal = Pose(arm.pos + np.array([0.0, 0.0, up]), arm.mat)
    yield from go(arm, lambda: goal, near=0.03, steps=15)


def drag_object(arm: Arm, name: str, spot: Spot) -> Motion:
    """Slide a dish to `spot`, pushing from inside against its wall: there is always room for the hand above it."""
    shape = shape_of(arm.scene, name)
    wall = 0.45 * shape.half[0]
    level = arm.scene.bodies[name].pos[2] + shape.seat

    def inside(ahead: float, press: float = 0.0) -> Pose:
        pose = arm.scene.bodies[name]
        way = (spot() - pose.pos)[:2]
        at = pose.pos[:2] + ahead * way / max(np.linalg.norm(way), 1e-6)
        return Pose(np.array([*at, level + FINGER - press]), DOWN)

    start = inside(wall)
    arm.gripper = CLOSE
    yield from travel(arm, lambda: start, top_between(arm.scene, arm.pos, start.pos, 0.05) + FINGER + MARGIN)
    yield from go(arm, lambda: inside(wall + 0.05, press=0.012), near=0.0, steps=100)  # pressed down, or it climbs over the wall
    yield from retreat(arm)
