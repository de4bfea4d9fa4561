"""Grasp planning: candidates from an object's shape, ranked by free space for the hand and little rotation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vla_bench.policies.expert.motions import DOWN, about, about_z
from vla_bench.policies.expert.shapes import BoundingShape, Hold, obstacles, shape_of
from vla_bench.world.observation import Pose, Scene

# All lengths in m.
WIDEST = 0.074  # widest object that fits between the open fingers
FINGER = 0.010  # the fingertips reach this far below the tool point
PALM = 0.032  # the palm is this far above it
RIM_DEPTH = 0.008  # tool point below a rim: the whole pad touches the wall
MUG_DEPTH = 0.02  # the same for a steep wall with room for the palm above: a grasp that closes a step too early still holds
REACH = 0.68  # beyond this distance from the robot's base the arm is nearly straight
WRIST = np.array([0.13, 0.18, 0.23])  # heights above the tool point of points of the wrist, which has a radius of 5 cm
TURNS = (0.0, *(sign * turn for turn in (np.pi / 6, np.pi / 3, np.pi / 2) for sign in (1, -1)))  # tried for round objects
LEFTMOST = np.radians(80.0)  # largest rotation of the hand to the left; to the right it is 180 degrees less this
HAND = np.linspace(-0.10, 0.10, 9)  # points of the palm along the fingers' axis
STOPPED, ROOM = 0.028, 0.01  # distance of such a point from an object that stops the palm; room for a policy that is less exact
OTHER_SIDE = 4.0  # cost of another side than the task's: more than an acceptable lack of room
NEAR, BESIDE = 20.0, 60.0  # degrees: sides closer than the first are the same, closer than the second neighbours
OPENED, RELEASING = 0.045, 0.025  # distance of a fingertip from the tool point, wide open and just releasing a wall


@dataclass(frozen=True)
class Grasp:
    """A tool pose at which the gripper closes.

    cost: 0 is the best.
    turn: rad about the vertical by which a round object is turned on its way, so that the hand has room at the target, too.
    """

    pose: Pose
    cost: float
    turn: float = 0.0


def best_grasp(
    scene: Scene,
    name: str,
    base: np.ndarray,
    spot: np.ndarray,
    attempt: int = 0,
    hold: Hold | None = None,
    side: float | None = None,
) -> Grasp:
    """The best grasp of object `name` to bring its origin to `spot` (3,); `attempt` n takes the n-th best of five.

    hold: another type of grasp than the category's; None for that one.
    side: preferred side (`side_of`) in degrees, used in the first attempt unless there is no room for the hand; the second
        prefers a side beside it.
    """
    ranked = grasps(scene, name, base, spot, hold)
    if side is not None and attempt <= 1:
        apart = [_angle_between(side_of(grasp, scene.bodies[name].pos), side) for grasp in ranked]
        others = [angle > NEAR if attempt == 0 else not NEAR < angle <= BESIDE for angle in apart]
        ranked = [replace(grasp, cost=grasp.cost + OTHER_SIDE * other) for grasp, other in zip(ranked, others, strict=True)]
        attempt = 0
    ranked.sort(key=lambda grasp: grasp.cost)
    return ranked[attempt % min(len(ranked), 5)]


def side_of(grasp: Grasp, middle: np.ndarray) -> float:
    """Side of a grasp of the object at `middle` (3,), degrees about the vertical: its direction, or the hand's yaw."""
    x, y, _ = grasp.pose.pos - middle
    return float(np.degrees(np.arctan2(y, x) if np.hypot(x, y) > 0.02 else yaw(grasp.pose.mat)))


def _angle_between(angle: float, other: float) -> float:
    return abs((angle - other + 180.0) % 360.0 - 180.0)


def grasps(scene: Scene, name: str, base: np.ndarray, spot: np.ndarray, hold: Hold | None = None) -> list[Grasp]:
    """All grasps of object `name`; their cost includes bringing its origin to `spot` (3,)."""
    pose = scene.bodies[name]
    there = Pose(spot, pose.mat)
    around = [(shape, at) for shape, at in obstacles(scene, name) if shape.distance(at, spot[None])[0] > 0.0]
    best = []
    for grasp in candidates(scene, name, hold):
        turned, start = [], yaw(grasp.pose.mat)
        for turn in TURNS if shape_of(scene, name).hold is Hold.RIM else (0.0,):
            mat = about_z(turn)
            moved = Pose(spot + mat @ (grasp.pose.pos - pose.pos), mat @ grasp.pose.mat)
            room = crowding(moved, around, RELEASING) + _outside(scene, moved, there, RELEASING)
            far = max(np.linalg.norm((at.pos - base)[:2]) for at in (grasp.pose, moved))
            cost = 20.0 * max(0.0, far - REACH) + 4.0 * room + 0.5 * abs(turn) + 10.0 * (abs(start + turn) > 1.7)
            turned.append(Grasp(grasp.pose, grasp.cost + cost, turn))
            if room == 0.0:
                break  # turning further only costs more
        best.append(min(turned, key=lambda option: option.cost))
    return best


def candidates(scene: Scene, name: str, hold: Hold | None = None) -> list[Grasp]:
    """All grasps of object `name` as it lies; the cost includes free space for the hand, not the arm's reach."""
    shape, pose = shape_of(scene, name), scene.bodies[name]
    others = obstacles(scene, name)
    hold = hold or shape.hold
    if hold is Hold.HANDLE:
        options = _handle(shape, pose)
    elif hold in (Hold.RIM, Hold.EDGE) and pose.mat[2, 2] > 0.8:
        options = _rim(shape, pose)
    else:
        options = _faces(shape, pose)
    poses = list(options) or [(Pose(shape.middle(pose), DOWN), 0.0)]  # the object fell over: try from above
    return [
        Grasp(grasp, price + abs(yaw(grasp.mat)) + 4.0 * way_down(grasp, others) + 4.0 * _outside(scene, grasp, pose))
        for grasp, price in poses
    ]


def crowding(grasp: Pose, others: list[tuple[BoundingShape, Pose]], spread: float = OPENED) -> float:
    """How much of the hand would come near other objects: 0 is free, 1 contact of every part; 1 more where the palm is stopped.

    Where the palm comes to rest on a neighbour the fingers never reach the object, however small the part that touches.
    """
    hand, fingers, wrist = _hand(grasp), _fingers(grasp, spread), grasp.pos - WRIST[:, None] * grasp.mat[:, 2]
    total = 0.0
    for shape, pose in others:
        palm = shape.distance(pose, hand)
        total += np.mean(np.clip(1.0 - (palm - 0.035) / 0.015, 0.0, 1.0))
        total += np.clip(1.0 - (palm.min() - STOPPED) / ROOM, 0.0, 1.0)
        total += np.mean(np.clip(1.0 - (shape.distance(pose, fingers) - 0.012) / 0.008, 0.0, 1.0))
        total += np.mean(np.clip(1.0 - (shape.distance(pose, wrist) - 0.055) / 0.015, 0.0, 1.0))
    return float(total)


def way_down(grasp: Pose, others: list[tuple[BoundingShape, Pose]]) -> float:
    """The worst crowding along the descent to a grasp: an open drawer may be above it."""
    return max(crowding(Pose(grasp.pos - back * grasp.mat[:, 2], grasp.mat), others) for back in (0.0, 0.06, 0.12, 0.18))


def yaw(mat: np.ndarray) -> float:
    """Rotation of the fingers' axis about the vertical since the start of an episode, in rad."""
    return float(np.arctan2(mat[0, 1], -mat[1, 1]))


def _hand(grasp: Pose) -> np.ndarray:
    """Points (9, 3) on the axis of the palm, a bar of 3 cm radius."""
    return grasp.pos + HAND[:, None] * grasp.mat[:, 1] - (PALM + 0.03) * grasp.mat[:, 2]


def _fingers(grasp: Pose, spread: float) -> np.ndarray:
    return grasp.pos + np.array([[-spread], [spread]]) * grasp.mat[:, 1]


def _outside(scene: Scene, grasp: Pose, pose: Pose, spread: float = OPENED) -> float:
    """Cost of a grasp in a drawer whose fingers are not between its walls, or whose palm is not above them; 0 elsewhere."""
    for region in scene.facts.joint_regions:
        if region not in scene.sites:
            continue
        site, half = scene.sites[region], scene.facts.region_sizes[region]
        level = np.abs(site.mat[2]) > 0.7  # the region's own axis that points up
        walls = site.pos[2] + half[np.argmax(level)]  # an object on top of them is not inside
        if np.all(np.abs((pose.pos - site.pos) @ site.mat) < half + 0.01) and pose.pos[2] < walls:
            leaning = 1.0 - abs(grasp.mat[2, 2])
            beyond = np.abs((_fingers(grasp, spread) - site.pos) @ site.mat) - half
            narrow = np.clip((beyond[:, ~level].max() + 0.018) / 0.01, 0.0, 2.0)  # a fingertip is 8 mm thick
            return float(narrow + 20.0 * leaning + np.any(_hand(grasp)[:, 2] - 0.03 < walls))
    return 0.0


def upright(turn: float) -> np.ndarray:
    """Orientation (3, 3) of the tool pointing down, turned by `turn` rad about the vertical.

    The fingers are symmetric, so the angle is reduced to a range of half a turn, in which a quarter turn always has the same
    sign.
    """
    return about_z((turn + LEFTMOST) % np.pi - LEFTMOST) @ DOWN


def _rim(shape: BoundingShape, pose: Pose):
    """Grasps around the rim; the fingers close along the radius, the hand leaning as the wall does where there is room."""
    top = pose.pos + pose.mat @ np.array([*shape.rim_at, shape.centre[2] + shape.half[2]])
    deep = MUG_DEPTH if 2 * shape.half[2] > 2 * PALM else RIM_DEPTH
    depth = min(deep, 2 * shape.half[2] - FINGER - 0.002)  # a plate is so shallow that the fingers would hit the table
    plain = not any(shape.rim_at)  # rotationally symmetric, without a handle
    facing = 0.0 if plain else np.arctan2(pose.mat[1, 0], pose.mat[0, 0])
    for angle in facing + np.linspace(0.0, 2 * np.pi, 12, endpoint=False):
        outward = np.array([np.cos(angle), np.sin(angle), 0.0])
        for lean in dict.fromkeys((shape.lean, 0.5 * shape.lean, 0.0)):
            mat = about(np.array([-outward[1], outward[0], 0.0]), lean) @ upright(angle - np.pi / 2)
            point = top + shape.rim * outward + depth * mat[:, 2]
            outside = point + 0.02 * outward  # position of the outer finger
            handle = not plain and shape.distance(pose, outside[None])[0] == 0.0
            yield Pose(point, mat), 2.0 * (shape.lean - lean) + 3.0 * handle


def _handle(shape: BoundingShape, pose: Pose):
    """Grasp across the handle, the hand leaning away from the object."""
    across = pose.mat[:, shape.across]
    outward = pose.mat @ np.array(shape.handle)
    sideways = np.array([-outward[1], outward[0], 0.0]) / np.linalg.norm(outward[:2])
    mat = about(sideways, shape.handle_lean) @ upright(np.arctan2(across[1], across[0]) - np.pi / 2)
    yield Pose(pose.pos + outward, mat), 0.0


def _faces(shape: BoundingShape, pose: Pose):
    """Grasps of pairs of vertical faces that fit between the fingers, as the object lies."""
    low, high = shape.heights(pose)
    centre = shape.middle(pose)
    depth = max(low + FINGER + 0.002, min(centre[2], high - 0.004), high - PALM)
    point = np.array([centre[0], centre[1], depth])
    if shape.hold is Hold.ROUND:
        axis = pose.mat[:, shape.axis]
        around = np.linspace(-np.pi / 2, np.pi / 2, 24, endpoint=False)
        for turn in around if abs(axis[2]) > 0.7 else [np.arctan2(axis[1], axis[0])]:
            yield Pose(point, upright(turn)), 0.0
        return
    for k in range(3):
        axis = pose.mat[:, k]
        if abs(axis[2]) > 0.5 or 2 * shape.half[k] > WIDEST:
            continue
        along = np.array([-axis[1], axis[0], 0.0])  # the fingers may be off the centre of the face
        span = float(np.abs(along @ pose.mat) @ np.array(shape.half))
        mat = upright(np.arctan2(axis[1], axis[0]) - np.pi / 2)
        for shift in (-0.5, -0.25, 0.0, 0.25, 0.5):
            yield Pose(point + shift * span * along, mat), 2.0 * abs(shift)
