"""One attempt of the expert at one task from a sampled start, recorded as a demonstration."""

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
    """How an attempt ended.  Only successes are stored; only successes and failures count in the expert's rate."""

    SUCCESS = "success"
    FAILURE = "failure"
    REJECTED = "rejected"  # something fell, or the goal was not achieved by the expert
    ERROR = "error"


@dataclass
class Counts:
    """Counts of one attempt.

    steps: control steps, the first `learner_steps` of them by a learner policy.
    noops: no-ops that were left out.
    pushes: pushes of the arm that took place.
    disturbed: whether noise was added to the expert's commands, with or without a push.
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
class RecordedFrames:
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
    """Let `expert` try the loaded task from the start sampled with `seed`, and record observations and actions.

    As in the reference's data, no-ops are neither executed nor recorded.  During a push the expert is still queried and its
    gripper command executed, but nothing is recorded; nor are the steps of a `learner`.  With noise, the recorded action is
    the expert's, without the noise.
    """
    start, horizon = simulator.sample(seed), simulator.suite.horizon
    disturbance = Disturbance(seed, disturbed_share, horizon)
    counts = Counts(disturbed=disturbance.disturbed)
    key = EpisodeKey(simulator.suite.name, simulator.task.id, SAMPLED, attempt)
    expert.reset(key)
    seen = simulator.begin(key, start, Sight.IMAGES if learner or not disturbance.at(0) else Sight.STATE)
    if not simulator.is_sound(start.state):
        return Recording(Ending.REJECTED, counts)
    if learner is not None:
        rollout = roll_out(simulator, learner, seen, seed)
        seen, counts.steps, counts.learner_steps = rollout.observation, rollout.steps, rollout.steps
        if rollout.done:
            return Recording(Ending.REJECTED, counts)
        expert.reset(key)
    frames, segment = RecordedFrames(), 0
    for step in range(horizon):
        action = expert.act([seen])[0].actions[0]
        push = disturbance.at(step)
        if push is None:
            while not kept_actions(np.array([*frames.actions, action]))[-1]:
                counts.noops += 1
                if counts.noops > horizon:
                    return Recording(Ending.FAILURE, counts)  # the expert only waits
                action = expert.act([seen])[0].actions[0]
            frames.add(action, simulator.state, seen, segment)
            action = disturbance.with_noise(step, action)
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
        # As in LIBERO's files the first state is the start before settling: a replay repeats the settling steps.
        frames.states[0] = start.state
    attributes = {
        "model_file": simulator.model_xml,
        "init_state": start.state,
        "fixtures": start.fixtures_json,
        "attempt": attempt,
        "seed": seed,
        "pushes": counts.pushes,
        "led": counts.learner_steps,
        "disturbed": counts.disturbed,
    }
    return Recording(Ending.SUCCESS, counts, as_demo(simulator, frames, attributes))


def as_demo(simulator: RecordingSimulator, frames: RecordedFrames, attributes: dict[str, object]) -> Demo:
    """The frames as arrays in LIBERO's layout."""
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
    """Names and positions (T, n, 3) in m of the task's objects and regions of interest."""
    names = tuple(n for n in scenes[0].facts.of_interest if n in scenes[0].bodies or n in scenes[0].sites)
    rows = [[(scene.bodies.get(n) or scene.sites[n]).pos for n in names] for scene in scenes]
    return names, np.array(rows).reshape(len(scenes), len(names), 3)
