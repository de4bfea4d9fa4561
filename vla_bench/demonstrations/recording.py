"""One attempt of the expert at one task from a start of its own, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from vla_bench.demonstrations.demo_file import IMAGES, Demo
from vla_bench.demonstrations.disturbance import Disturbance
from vla_bench.demonstrations.leading import lead
from vla_bench.demonstrations.noops import kept_actions
from vla_bench.model.normalisation import axis_angle
from vla_bench.policies.base import Policy
from vla_bench.records import EpisodeKey
from vla_bench.world.env import SAMPLED, World
from vla_bench.world.observation import Observation, Scene, Sight


class Ending(str, Enum):
    """How an attempt ended.  Only successes are kept; only successes and failures say anything about the expert."""

    SUCCESS = "success"
    FAILURE = "failure"
    REJECTED = "rejected"  # something fell, or the goal held without the expert's doing
    ERROR = "error"


@dataclass(frozen=True)
class Recording:
    """What came of an attempt.  `steps` of the simulator, the first `led` of them a learner's, `noops` left out of them,
    `pushes` that took place; `disturbed`: the arm trembled, whether or not there was time for a push."""

    ending: Ending
    steps: int = 0
    noops: int = 0
    pushes: int = 0
    led: int = 0
    disturbed: bool = False
    demo: Demo | None = None


@dataclass
class Kept:
    """The frames kept so far."""

    actions: list[np.ndarray] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    seen: list[Observation] = field(default_factory=list)
    segment: list[int] = field(default_factory=list)

    def add(self, action: np.ndarray, state: np.ndarray, seen: Observation, segment: int) -> None:
        self.actions.append(action)
        self.states.append(state)
        self.seen.append(seen)
        self.segment.append(segment)


def record(
    world: World, expert: Policy, attempt: int, seed: int, disturbed_share: float, learner: Policy | None = None
) -> Recording:
    """Let `expert` try the running task from the start that belongs to `seed`, and keep what it saw and did.

    As in the reference's data, an action that does nothing is neither executed nor kept.  While the arm is pushed, the
    expert goes on watching and deciding, its gripper is obeyed, and nothing is kept; nor of what a `learner` did before.
    Where the arm trembles, what the expert asked for is kept.
    """
    start = world.sample(seed)
    disturbance = Disturbance(seed, disturbed_share, world.suite.horizon)
    disturbed = disturbance.disturbed
    key = EpisodeKey(world.suite.name, world.task.id, SAMPLED, attempt)
    expert.reset(key)
    seen = world.begin(key, start, Sight.IMAGES if learner or not disturbance.at(0) else Sight.STATE)
    if not world.is_sound(start):
        return Recording(Ending.REJECTED, disturbed=disturbed)
    led = 0
    if learner is not None:
        outcome = lead(world, learner, seen, seed)
        if outcome.over:
            return Recording(Ending.REJECTED, outcome.steps, led=outcome.steps, disturbed=disturbed)
        seen, led = outcome.seen, outcome.steps
        expert.reset(key)
    frames, noops, segment, pushed = Kept(), 0, 0, 0
    for step in range(world.suite.horizon):
        action = expert.act([seen])[0].actions[0]
        push = disturbance.at(step)
        if push is None:
            while not kept_actions(np.array([*frames.actions, action]))[-1]:
                noops += 1
                if noops > world.suite.horizon:
                    return Recording(Ending.FAILURE, led + step, noops, pushed, led, disturbed)  # it has given up
                action = expert.act([seen])[0].actions[0]
            frames.add(action, world.state, seen, segment)
            action = disturbance.shaken(step, action)
        else:
            pushed += step == push.start
            segment = frames.segment[-1] + 1 if frames.segment else 0
            action = np.array([*push.move, action[6]])
        done, seen = world.step(action, Sight.STATE if disturbance.at(step + 1) else Sight.IMAGES)
        if done:
            break
    counts = (led + step + 1, noops, pushed, led, disturbed)
    if not done:
        return Recording(Ending.FAILURE, *counts)
    if push is not None:
        return Recording(Ending.REJECTED, *counts)
    return Recording(Ending.SUCCESS, *counts, as_demo(world, frames, start, attempt, seed, pushed, led, disturbed))


def as_demo(
    world: World, frames: Kept, start: np.ndarray, attempt: int, seed: int, pushes: int, led: int, disturbed: bool
) -> Demo:
    """The frames as LIBERO's arrays."""
    states = np.array(frames.states)
    if not led:
        # As in LIBERO's files the first state is the start before settling: whoever replays a demonstration settles again.
        states[0] = start
    last = np.zeros(len(states), np.uint8)
    last[-1] = 1
    eef_pos = np.array([o.eef_pos for o in frames.seen])
    eef_quat = np.array([o.eef_quat for o in frames.seen])
    gripper = np.array([o.gripper_qpos for o in frames.seen])
    eef_ori = np.array([axis_angle(quat) for quat in eef_quat])
    names, positions = objects_of_interest([o.scene for o in frames.seen])
    arrays = {
        "actions": np.array(frames.actions),
        "states": states,
        "robot_states": np.hstack([gripper, eef_pos, eef_quat]),
        "rewards": last,
        "dones": last,
        "obs/ee_states": np.hstack([eef_pos, eef_ori]),
        "obs/ee_pos": eef_pos,
        "obs/ee_ori": eef_ori,
        "obs/gripper_states": gripper,
        "obs/joint_states": np.array([o.joint_pos for o in frames.seen]),
    }
    for name, camera in zip(IMAGES, world.suite.cameras, strict=True):
        arrays[name] = np.array([o.images[camera] for o in frames.seen])
    return Demo(
        name="demo_0",
        instruction=world.task.language.lower(),
        arrays=arrays,
        segment=np.array(frames.segment, np.int32),
        object_pos=positions,
        object_names=names,
        attributes={
            "model_file": world.model_xml,
            "init_state": start,
            "attempt": attempt,
            "seed": seed,
            "pushes": pushes,
            "led": led,
            "disturbed": disturbed,
        },
    )


def objects_of_interest(scenes: list[Scene]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and positions (T, n, 3) of what the task is about, regions among them."""
    names = tuple(n for n in scenes[0].facts.of_interest if n in scenes[0].bodies or n in scenes[0].sites)
    rows = [[(scene.bodies.get(n) or scene.sites[n]).pos for n in names] for scene in scenes]
    return names, np.array(rows).reshape(len(scenes), len(names), 3)
