"""One attempt of the expert at one task from a start of its own, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from vla_bench.demonstrations.dagger import roll_out
from vla_bench.demonstrations.disturbance import Disturbance
from vla_bench.demonstrations.hdf5 import IMAGES, Demo
from vla_bench.demonstrations.noops import kept_actions
from vla_bench.model.normalisation import axis_angle
from vla_bench.policies.base import Policy
from vla_bench.records import EpisodeKey
from vla_bench.world.observation import Observation, Scene, Sight
from vla_bench.world.protocol import SAMPLED, RecordingSimulator


class Ending(str, Enum):
    """How an attempt ended.  Only successes are kept; only successes and failures say anything about the expert."""

    SUCCESS = "success"
    FAILURE = "failure"
    REJECTED = "rejected"  # something fell, or the goal held without the expert's doing
    ERROR = "error"


@dataclass
class Counts:
    """Of one attempt.

    steps: control steps, the first `learner_steps` of them by a learner policy.
    noops: actions left out because they did nothing.
    pushes: that took place.
    disturbed: the arm trembled, whether or not there was time for a push.
    """

    steps: int = 0
    noops: int = 0
    pushes: int = 0
    learner_steps: int = 0
    disturbed: bool = False


@dataclass(frozen=True)
class Recording:
    """A finished attempt, with its demonstration where it was a success."""

    ending: Ending
    counts: Counts
    demo: Demo | None = None


@dataclass
class Frames:
    """The frames recorded so far."""

    actions: list[np.ndarray] = field(default_factory=list)
    states: list[np.ndarray] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    segment: list[int] = field(default_factory=list)

    def add(self, action: np.ndarray, state: np.ndarray, observation: Observation, segment: int) -> None:
        self.actions.append(action)
        self.states.append(state)
        self.observations.append(observation)
        self.segment.append(segment)


def record(
    simulator: RecordingSimulator,
    expert: Policy,
    attempt: int,
    seed: int,
    disturbed_share: float,
    learner: Policy | None = None,
) -> Recording:
    """Let `expert` try the loaded task from the start that belongs to `seed`, and record what it saw and did.

    As in the reference's data, an action that does nothing is neither executed nor recorded.  While the arm is pushed, the
    expert goes on watching and deciding, its gripper is obeyed, and nothing is recorded; nor of what a `learner` did before.
    Where the arm trembles, what the expert asked for is recorded.
    """
    start, horizon = simulator.sample(seed), simulator.suite.horizon
    disturbance = Disturbance(seed, disturbed_share, horizon)
    counts = Counts(disturbed=disturbance.disturbed)
    key = EpisodeKey(simulator.suite.name, simulator.task.id, SAMPLED, attempt)
    expert.reset(key)
    seen = simulator.begin(key, start, Sight.IMAGES if learner or not disturbance.at(0) else Sight.STATE)
    if not simulator.is_sound(start):
        return Recording(Ending.REJECTED, counts)
    if learner is not None:
        rollout = roll_out(simulator, learner, seen, seed)
        seen, counts.steps, counts.learner_steps = rollout.observation, rollout.steps, rollout.steps
        if rollout.done:
            return Recording(Ending.REJECTED, counts)
        expert.reset(key)
    frames, segment = Frames(), 0
    for step in range(horizon):
        action = expert.act([seen])[0].actions[0]
        push = disturbance.at(step)
        if push is None:
            while not kept_actions(np.array([*frames.actions, action]))[-1]:
                counts.noops += 1
                if counts.noops > horizon:
                    return Recording(Ending.FAILURE, counts)  # it has given up
                action = expert.act([seen])[0].actions[0]
            frames.add(action, simulator.state, seen, segment)
            action = disturbance.shaken(step, action)
        else:
            counts.pushes += step == push.start
            segment = frames.segment[-1] + 1 if frames.segment else 0
            action = np.array([*push.move, action[6]])
        done, seen = simulator.step(action, Sight.STATE if disturbance.at(step + 1) else Sight.IMAGES)
        counts.steps += 1
        if done:
            break
    if not done:
        return Recording(Ending.FAILURE, counts)
    if push is not None:
        return Recording(Ending.REJECTED, counts)
    if not counts.learner_steps:
        # As in LIBERO's files the first state is the start before settling: whoever replays a demonstration settles again.
        frames.states[0] = start
    attributes = {
        "model_file": simulator.model_xml,
        "init_state": start,
        "attempt": attempt,
        "seed": seed,
        "pushes": counts.pushes,
        "led": counts.learner_steps,
        "disturbed": counts.disturbed,
    }
    return Recording(Ending.SUCCESS, counts, as_demo(simulator, frames, attributes))


def as_demo(simulator: RecordingSimulator, frames: Frames, attributes: dict[str, object]) -> Demo:
    """The frames as LIBERO's arrays."""
    states = np.array(frames.states)
    last = np.zeros(len(states), np.uint8)
    last[-1] = 1
    eef_pos = np.array([o.eef_pos for o in frames.observations])
    eef_quat = np.array([o.eef_quat for o in frames.observations])
    gripper = np.array([o.gripper_qpos for o in frames.observations])
    eef_ori = np.array([axis_angle(quat) for quat in eef_quat])
    names, positions = objects_of_interest([o.scene for o in frames.observations])
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
        "obs/joint_states": np.array([o.joint_pos for o in frames.observations]),
    }
    for name, camera in zip(IMAGES, simulator.suite.cameras, strict=True):
        arrays[name] = np.array([o.images[camera] for o in frames.observations])
    return Demo(
        name="demo_0",
        instruction=simulator.task.language.lower(),
        arrays=arrays,
        segment=np.array(frames.segment, np.int32),
        object_pos=positions,
        object_names=names,
        attributes=attributes,
    )


def objects_of_interest(scenes: list[Scene]) -> tuple[tuple[str, ...], np.ndarray]:
    """Names and positions (T, n, 3) of what the task is about, regions among them."""
    names = tuple(n for n in scenes[0].facts.of_interest if n in scenes[0].bodies or n in scenes[0].sites)
    rows = [[(scene.bodies.get(n) or scene.sites[n]).pos for n in names] for scene in scenes]
    return names, np.array(rows).reshape(len(scenes), len(names), 3)
