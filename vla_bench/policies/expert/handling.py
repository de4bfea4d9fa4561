"""Picking and placing objects, with a new attempt whenever the object is dropped."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vla_bench.policies.expert.grasps import FINGER, best_grasp
from vla_bench.policies.expert.motions import (
    CLOSE,
    CREEP,
    Arm,
    Goal,
    Lost,
    Motion,
    about_z,
    go,
    grip,
    lower,
    open_wide,
    release,
    travel,
)
from vla_bench.policies.expert.shapes import Hold, open_drawers, shape_of, top_between
from vla_bench.policies.expert.sides import side_for
from vla_bench.world.observation import Pose, Scene

# All lengths in m.
MARGIN = 0.025  # vertical distance between a moving object and what it passes over
SLIP = 0.05  # an object that moves further in the gripper is lost; a bowl swings by 3 cm as its wall aligns with the pads
EMPTY, GRASPING = 0.0025, 0.07  # distance of the pads: below the first the gripper is empty (a bowl's wall has 4 mm),
# above the second it is open
DROPPED = 0.03  # between an object and its spot, on which it does not need to be put again
CLEAR = 0.008  # between an object lifted out of a drawer and the cabinet
UP, OUT = 0.08, 0.14  # the tool rises by this after a release: on a table, and in a basket, whose sides it must not touch
RUN_UP = 0.14  # distance from its target at which an object enters under a roof
Spot = Callable[[], np.ndarray]  # target position of the object's origin, (3,)


def move_object(arm: Arm, name: str, spot: Spot, cone: float = 2.0, turn: float = 0.0, lowest: float = -np.inf) -> Motion:
    """Bring object `name` to `spot`, turned by `turn` rad about the vertical; the tool stays above `lowest` m."""

    def once(attempt: int) -> Motion:
        further = yield from take(arm, name, spot, attempt)
        yield from place(arm, name, spot, cone, turn + further, lowest)

    yield from _again_when_lost(arm, once, lambda: _lies_at(arm, name, spot))


def insert_object(arm: Arm, name: str, spot: Spot, inward: np.ndarray) -> Motion:
    """Bring object `name`, held by its handle, to `spot` under a roof: in direction `inward` (3,), the handle last."""

    def once(attempt: int) -> Motion:
        yield from take(arm, name, spot, attempt, Hold.HANDLE)
        yield from slide_in(arm, name, spot, inward)

    yield from _again_when_lost(arm, once)


def drag_object(arm: Arm, name: str, spot: Spot) -> Motion:
    """Slide a dish to `spot`, held by its edge: it is too flat to be lifted, and if pushed it would turn away."""

    def once(attempt: int) -> Motion:
        yield from take(arm, name, spot, attempt)
        over_spot, watch = _carrying(arm, name, spot, 0.0)
        level = np.array([0.0, 0.0, arm.pos[2]])
        yield from go(arm, lambda: Pose(over_spot().pos * [1, 1, 0] + level, over_spot().mat), near=0.01, watch=watch)
        yield from retreat(arm)

    yield from _again_when_lost(arm, once)


def _again_when_lost(
    arm: Arm, once: Callable[[int], Motion], done: Callable[[], bool] = lambda: False, attempts: int = 6
) -> Motion:
    for attempt in range(attempts):
        try:
            yield from once(attempt)
            return
        except Lost:
            yield from retreat(arm)
            if done():
                return


def _lies_at(arm: Arm, name: str, spot: Spot) -> bool:
    """Whether the object was dropped where it belongs, as a bowl is that the wall of a drawer takes from the hand."""
    return bool(np.linalg.norm(arm.scene.bodies[name].pos - spot()) < DROPPED)


def take(arm: Arm, name: str, spot: Spot, attempt: int = 0, hold: Hold | None = None) -> Motion:
    """`pick`, unless the object is in the gripper already, as in a DAgger rollout where the expert takes over."""
    if attempt or not in_hand(arm, name):
        return (yield from pick(arm, name, spot, attempt, hold))
    arm.gripper = CLOSE
    return 0.0


def in_hand(arm: Arm, name: str) -> bool:
    """Whether the fingers are closed around object `name`."""
    shape = shape_of(arm.scene, name)
    near = shape is not None and shape.distance(arm.scene.bodies[name], arm.pos[None])[0] < 0.01
    return bool(near and EMPTY < arm.opening < GRASPING)


def pick(arm: Arm, name: str, spot: Spot, attempt: int = 0, hold: Hold | None = None) -> Motion:
    """Grasp object `name` to bring it to `spot`; returns the rad by which to turn it on the way.  Raises Lost."""
    best = best_grasp(arm.scene, name, arm.base, spot(), attempt, hold, side_for(arm.now.episode, name))
    first = best.pose
    start = arm.scene.bodies[name].pos

    def grasp() -> Pose:
        return Pose(first.pos + arm.scene.bodies[name].pos - start, first.mat)

    yield from open_wide(arm)
    height = top_between(arm.scene, arm.pos, first.pos, 0.05) + FINGER + MARGIN
    gently = attempt == 0  # after that at full speed, which pushes aside what was in the way
    yield from travel(arm, grasp, height, near=0.012, slant=1.0, slowing=gently)
    yield from go(arm, grasp, near=0.005, speed=CREEP if gently else 1.0, steps=12)
    if np.linalg.norm(grasp().pos - arm.pos) > 0.02:
        raise Lost(name)
    yield from grip(arm, grasp)
    return best.turn


def place(arm: Arm, name: str, spot: Spot, cone: float = 2.0, turn: float = 0.0, lowest: float = -np.inf) -> Motion:
    """Carry the object in the gripper to `spot` and release it; the tool goes no lower than `lowest`.

    Raises Lost where the object is dropped on the way.
    """
    over_spot, watch = _carrying(arm, name, spot, turn, lowest)
    out = from_inside(arm.scene, name)
    if out.any():
        drawn = Pose(arm.pos + out, arm.mat)
        yield from go(arm, lambda: drawn, steps=15, watch=watch)
    yield from lift(arm)
    aside = from_under(arm.scene, name)
    if aside.any():
        free = Pose(arm.pos + aside, arm.mat)
        yield from go(arm, lambda: free, near=0.02, steps=25, watch=watch)
    shape = shape_of(arm.scene, name)
    hangs = arm.pos[2] - shape.heights(arm.scene.bodies[name])[0]
    height = top_between(arm.scene, arm.pos, over_spot().pos, 0.07, name) + hangs + MARGIN
    yield from travel(arm, over_spot, height, cone=cone, watch=watch)
    yield from lower(arm, over_spot)
    yield from retreat(arm, OUT if np.isfinite(lowest) else UP)


def slide_in(arm: Arm, name: str, spot: Spot, inward: np.ndarray) -> Motion:
    """Carry the object in the gripper in front of `spot`, then in direction `inward` (3,) to it.  Raises Lost."""
    pose = arm.scene.bodies[name]
    handle = pose.mat @ np.array(shape_of(arm.scene, name).handle)
    turn = np.arctan2(-inward[1], -inward[0]) - np.arctan2(handle[1], handle[0])
    over_spot, watch = _carrying(arm, name, spot, (turn + np.pi) % (2 * np.pi) - np.pi)

    def before() -> Pose:
        goal = over_spot()
        return Pose(goal.pos - RUN_UP * inward + np.array([0.0, 0.0, 0.01]), goal.mat)

    yield from lift(arm)
    yield from travel(arm, before, before().pos[2], near=0.03, watch=watch)
    yield from go(arm, over_spot, near=0.01, steps=40, watch=watch)
    yield from lower(arm, over_spot)
    yield from release(arm)
    out = Pose(arm.pos - 0.08 * inward + np.array([0.0, 0.0, 0.03]), arm.mat)
    yield from go(arm, lambda: out, near=0.03, steps=15)


def lift(arm: Arm) -> Motion:
    """Slowly up a little, while the object settles between the pads."""
    lifted = Pose(arm.pos + np.array([0.0, 0.0, 0.025]), arm.mat)
    yield from go(arm, lambda: lifted, speed=0.4, steps=6)


def _carrying(arm: Arm, name: str, spot: Spot, turn: float, lowest: float = -np.inf) -> tuple[Goal, Callable[[], None]]:
    """The tool's goal for the held object to be at `spot`, turned by `turn` rad; and a check that raises Lost."""
    held = arm.mat.T @ (arm.scene.bodies[name].pos - arm.pos)
    mat = about_z(turn) @ arm.mat

    def watch() -> None:
        now = arm.mat.T @ (arm.scene.bodies[name].pos - arm.pos)
        if np.linalg.norm(now - held) > SLIP:
            raise Lost(name)

    def over_spot() -> Pose:
        pos = arm.pos + spot() - arm.scene.bodies[name].pos
        return Pose(np.array([*pos[:2], max(pos[2], lowest)]), mat)

    return over_spot, watch


def from_under(scene: Scene, name: str) -> np.ndarray:
    """The shortest displacement (3,) of an object from under an open drawer; zeros when there is none above it."""
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


def from_inside(scene: Scene, name: str) -> np.ndarray:
    """Displacement (3,) of an object in a drawer, outward, so that it can be lifted without touching the cabinet; else zeros."""
    pose, shape = scene.bodies[name], shape_of(scene, name)
    for owner in {scene.facts.regions[region] for region in scene.facts.joint_regions if region in scene.facts.regions}:
        cabinet, at = shape_of(scene, owner), scene.bodies[owner]
        x, y, _ = at.mat.T @ (pose.pos - at.pos)
        within = y + shape.half[0] - (cabinet.centre[1] - cabinet.half[1])  # a drawer comes out along -y
        beneath = shape.heights(pose)[0] < cabinet.heights(at)[1] - MARGIN
        if beneath and abs(x) < cabinet.half[0] and 0.0 < within < 2 * shape.half[0]:
            return -at.mat[:, 1] * (within + CLEAR)
    return np.zeros(3)


def retreat(arm: Arm, up: float = UP) -> Motion:
    """Release, then move straight up by `up` m."""
    yield from release(arm)
    goal = Pose(arm.pos + np.array([0.0, 0.0, up]), arm.mat)
    yield from go(arm, lambda: goal, near=0.03, steps=15)
