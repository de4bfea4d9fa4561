"""The arm of one episode and its elementary motions.

A motion is a generator: it yields one action per control step, finds the newest observation in `arm.now` when it resumes,
and returns when it is done.  Plans are made of motions with `yield from`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field

import numpy as np

from vla_bench.policies.base import ACTION_DIM
from vla_bench.world.observation import Observation, Pose, Scene

POSITION_UNIT, ROTATION_UNIT = 0.05, 0.5  # commanded by an action of 1.0, in m and rad
# The controller is a critically damped spring whose rest point moves once a step.  Commanding more than the error, minus
# the present speed, stops a fast motion within 5 mm instead of overshooting by 15.
PULL, BRAKE = 2.5, 3.0
TURN, STOP_TURN = 1.5, 2.0  # the same for rotations
METRES_A_STEP, RADIANS_A_STEP = 0.0122, 0.174  # displacement by one step of action 1.0, measured from rest in free space
AT_ONCE = ROTATION_UNIT / (TURN * RADIANS_A_STEP)  # steps, the time constant of an undelayed rotation
OPEN, CLOSE = -1.0, 1.0
PATIENCE = 10  # steps without progress after which a motion gives up
TURNED, AT_REST = 0.08, 8  # m above a goal, and steps before it, at which the tool should have its final orientation
SETTLE = 3  # steps at a grasp before the fingers close: a policy that learns from this and closes as many too early still has it
# A tool slows down over the last `SLOWING` m above a grasp, to `CREEP` of its full speed.  At full speed the eight actions that
# a policy executes without a look are 10 cm: it saw the object from that far last.  So slowed it has seen it from within 3 cm.
SLOWING, CREEP = 0.08, 0.35
SET_OFF = 3  # steps after which a tool that was at rest is moving
IN_FRONT = np.array([0.45, 0.0, 0.26])  # the tool's position at the start of an episode, from the robot's base
DOWN = np.diag([1.0, -1.0, -1.0])  # the tool at the start of an episode: z into the table, fingers along the world's y

Motion = Generator[np.ndarray, None, float | None]
Goal = Callable[[], Pose]


class Lost(Exception):
    """The object that should be in the gripper is not there."""


@dataclass
class Arm:
    """State that motions share between two steps.

    now: the newest observation.  gripper: the gripper command.
    """

    now: Observation
    gripper: float = OPEN
    base: np.ndarray = field(init=False)  # (3,) m, the robot's base
    _path: deque[np.ndarray] = field(init=False)
    _turns: deque[np.ndarray] = field(init=False)

    def __post_init__(self) -> None:
        self.base = self.pos - IN_FRONT
        self._path = deque([self.pos], maxlen=PATIENCE)
        self._turns = deque([self.mat], maxlen=2)

    def observe(self, observation: Observation) -> None:
        self.now = observation
        self._path.append(self.pos)
        self._turns.append(self.mat)

    @property
    def stuck(self) -> bool:
        """Whether the tool has moved less than 4 mm in the last `PATIENCE` steps."""
        return len(self._path) == PATIENCE and bool(np.linalg.norm(self._path[-1] - self._path[0]) < 0.004)

    @property
    def blocked(self) -> bool:
        """Whether the tool moved in neither of the last two steps.

        Pushing or waiting any longer records identical frames, from which a policy cannot learn when to stop.
        """
        steps = list(self._path)[-3:]
        return len(steps) == 3 and all(np.linalg.norm(b - a) < 5e-4 for a, b in zip(steps, steps[1:], strict=False))

    @property
    def scene(self) -> Scene:
        return self.now.scene

    @property
    def pos(self) -> np.ndarray:
        return self.now.eef_pos

    @property
    def mat(self) -> np.ndarray:
        return matrix(self.now.eef_quat)

    @property
    def opening(self) -> float:
        """Distance between the finger pads in metres, 0.08 when wide open."""
        return float(abs(self.now.gripper_qpos[0]) + abs(self.now.gripper_qpos[1]))

    def _spin(self) -> np.ndarray:
        """Rotation of the tool in the last step, (3,) rad."""
        return rotation_vector(self._turns[-1] @ self._turns[0].T)

    def toward(self, goal: Pose, speed: float = 1.0, steps: float = 0.0) -> np.ndarray:
        """The action that moves the tool to `goal` along a straight line, each component at most `speed`.

        The rotation is spread over `steps` control steps.  At full speed it is over after the first few steps, in which all
        tasks look alike, and a policy that learns from it hardly turns.
        """
        velocity = self._path[-1] - self._path[-2] if len(self._path) > 1 else np.zeros(3)
        action = np.zeros(ACTION_DIM)
        action[:3] = _limited((PULL * (goal.pos - self.pos) - BRAKE * velocity) / POSITION_UNIT, speed)
        turn = TURN * rotation_vector(goal.mat @ self.mat.T) - STOP_TURN * self._spin()
        action[3:6] = _limited(turn / (1.0 + steps / AT_ONCE) / ROTATION_UNIT, 1.0)
        action[6] = self.gripper
        return action


def go(arm: Arm, goal: Goal, near: float = 0.008, speed: float = 1.0, steps: int = 60, watch=None) -> Motion:
    """Straight to `goal`, which may move, until within `near` m and 0.06 rad, or blocked, or for `steps` at most.

    `watch` is called every step and may raise to end the motion.
    """
    for step in range(steps):
        if watch:
            watch()
        pose = goal()
        turn = np.linalg.norm(rotation_vector(pose.mat @ arm.mat.T))
        if np.linalg.norm(pose.pos - arm.pos) < near and turn < 0.06:
            return
        if step >= SET_OFF and arm.blocked and turn < 0.1:
            return
        yield arm.toward(pose, speed, steps_to(pose.pos - arm.pos) / speed)


def travel(
    arm: Arm,
    goal: Goal,
    height: float,
    near: float = 0.01,
    steps: int = 120,
    cone: float = 2.0,
    slant: float = 0.0,
    slowing: bool = False,
    watch=None,
) -> Motion:
    """To `goal` over everything lower than `height`: rise, cross and come down through a cone above it.

    The three parts overlap: crossing starts before the rise has ended, and the cone lets the descent start before the
    crossing has ended; `cone` is its slope.  With `slant` 1 it descends along the tool's own axis, with 0 vertically.
    `slowing`: it comes down as to a grasp, ever slower.
    """
    for step in range(steps):
        if watch:
            watch()
        pose = goal()
        back = (
            -slant * pose.mat[:2, 2] / max(-pose.mat[2, 2], 0.5)
        )  # horizontal offset along the tool's axis, per metre above the goal
        offset = pose.pos - arm.pos
        offset[:2] += back * np.clip(-offset[2], 0.0, 0.2)
        apart = float(np.linalg.norm(offset[:2]))
        turn = np.linalg.norm(rotation_vector(pose.mat @ arm.mat.T))
        if np.linalg.norm(offset) < near and turn < 0.1:
            return
        if step >= PATIENCE and arm.stuck or step >= SET_OFF and arm.blocked and turn < 0.1:
            return
        # At the cone's foot the fingers must already have the grasp's orientation.
        floor = min(height, pose.pos[2] + cone * max(0.0, apart - 0.012) + 0.3 * max(0.0, turn - 0.1))
        floor = max(floor, pose.pos[2])
        room = np.clip(1.0 - (floor - arm.pos[2]) / 0.04, 0.0, 1.0)  # 0: too low to cross
        across = Pose(np.array([*arm.pos[:2] + room * offset[:2], arm.pos[2]]), pose.mat)
        action = arm.toward(across, steps=steps_to([*offset[:2], max(abs(offset[2]) - TURNED, 0.0)]))
        speed = np.clip(-offset[2] / SLOWING, CREEP, 1.0) if slowing and floor < arm.pos[2] else 1.0
        action[2] = arm.toward(Pose(np.array([*arm.pos[:2], floor]), pose.mat), speed)[2]
        yield action


def lower(arm: Arm, goal: Goal, near: float = 0.005, speed: float = 0.3, steps: int = 15) -> Motion:
    """Slowly to `goal`, until there or until the held object stands on something."""
    rested = 2 if arm.blocked else 0
    for step in range(steps):
        if rested == 2:
            return
        pose, height = goal(), arm.pos[2]
        if np.linalg.norm(pose.pos - arm.pos) < near:
            return
        yield arm.toward(pose, speed)
        rested = rested + 1 if step > 1 and height - arm.pos[2] < 5e-4 else 0


def drive(arm: Arm, goal: Goal, done: Callable[[], bool], speed: float = 1.0, steps: int = 60) -> Motion:
    """Toward `goal`, which moves ahead of the tool, until `done` or until the tool is stuck."""
    for step in range(steps):
        if done() or (step >= PATIENCE and arm.stuck):
            return
        yield arm.toward(goal(), speed)


def grip(arm: Arm, goal: Goal) -> Motion:
    """Stay at `goal` for `SETTLE` steps, unless something keeps the tool from it, then close the gripper."""
    if np.linalg.norm(goal().pos - arm.pos) < 0.01:
        yield from go(arm, goal, near=0.0, steps=SETTLE)
    yield from shut(arm)


def shut(arm: Arm, steps: int = 14) -> Motion:
    """Close the gripper without moving the arm, until the fingers stop."""
    arm.gripper = CLOSE
    yield from _until_fingers_rest(arm, steps)


def open_wide(arm: Arm, steps: int = 8, enough: float = 0.07) -> Motion:
    """Open the gripper without moving the arm, to `enough` m between the pads."""
    arm.gripper = OPEN
    here = Pose(arm.pos, arm.mat)
    for _ in range(steps):
        if arm.opening > enough:
            return
        yield arm.toward(here)


def release(arm: Arm) -> Motion:
    """Open just far enough to free the object; the fingers open further during the next motion."""
    yield from open_wide(arm, enough=min(arm.opening + 0.025, 0.07))


def stay(arm: Arm, steps: int) -> Motion:
    here = Pose(arm.pos, arm.mat)
    for _ in range(steps):
        yield arm.toward(here)


def _until_fingers_rest(arm: Arm, steps: int) -> Motion:
    here = Pose(arm.pos, arm.mat)
    still, before = 0, arm.opening
    for step in range(steps):
        yield arm.toward(here)
        still = still + 1 if abs(arm.opening - before) < 5e-4 and step > 2 else 0
        before = arm.opening
        if still == 2:
            return


def steps_to(offset: np.ndarray | list[float]) -> float:
    """Control steps to move by `offset` (3,) m, less `AT_REST`, the last ones, by which a rotation should have ended."""
    return max(np.abs(offset).max() / METRES_A_STEP - AT_REST, 0.0)


def _limited(vector: np.ndarray, most: float) -> np.ndarray:
    """`vector` scaled down until no component exceeds `most`."""
    return vector * min(1.0, most / max(np.abs(vector).max(), 1e-9))


def matrix(xyzw: np.ndarray) -> np.ndarray:
    x, y, z, w = xyzw / np.linalg.norm(xyzw)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def rotation_vector(mat: np.ndarray) -> np.ndarray:
    """Axis times angle of a rotation matrix."""
    skew = 0.5 * np.array([mat[2, 1] - mat[1, 2], mat[0, 2] - mat[2, 0], mat[1, 0] - mat[0, 1]])
    sine, cosine = np.linalg.norm(skew), 0.5 * (np.trace(mat) - 1.0)
    angle = np.arctan2(sine, cosine)
    if sine > 1e-6:
        return skew * (angle / sine)
    if cosine > 0:
        return skew
    column = (mat + np.eye(3))[:, np.argmax(np.diag(mat))]  # half a turn: the axis is the invariant direction
    return column / np.linalg.norm(column) * np.pi


def about(axis: np.ndarray, angle: float) -> np.ndarray:
    """Rotation by `angle` rad about the unit vector `axis`."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross


def about_z(angle: float) -> np.ndarray:
    return about(np.array([0.0, 0.0, 1.0]), angle)
