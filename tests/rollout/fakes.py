"""A simulator of a few lines, and runners for it: workers that import them start in a moment and need no LIBERO."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import signal
import stat
import time

import numpy as np

from vla_bench.errors import RecordError, WorldError
from vla_bench.policies.base import Chunk
from vla_bench.policies.simple import NoopPolicy
from vla_bench.records import EpisodeKey
from vla_bench.rollout.worker import Simulators
from vla_bench.suites import load_suite
from vla_bench.world.observation import Observation, Scene, SceneConstants, Sight

HORIZON = 16
SUITE = dataclasses.replace(load_suite("object"), horizon=HORIZON)
SCENE = Scene(SceneConstants((), (), {}, {}, {}), {}, {}, {})


def short_hash(value) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


class FakeSimulator:
    """A simulator whose state is the sum of its actions; the goal holds once the gripper is commanded to close."""

    def __init__(self, suite):
        self.suite, self.image_size, self.task = suite, suite.image_size, None
        self.closed = False

    def start(self, task):
        self.task = task

    def reset(self, init_state, sight=Sight.STATE, repeat=0):
        if not 0 <= init_state < self.suite.init_states:
            raise WorldError(f"no init state {init_state}")
        self.key = EpisodeKey(self.suite.name, self.task.id, init_state, repeat)
        self.state, self.steps = np.full(7, float(init_state)), 0
        return self.observe(sight)

    def step(self, action, sight=Sight.NOTHING):
        self.state, self.steps = self.state + action, self.steps + 1
        return bool(action[6] > 0), self.observe(sight)

    def observe(self, sight):
        if sight is Sight.NOTHING:
            return None
        images = dict.fromkeys(self.suite.cameras, np.zeros((self.image_size, self.image_size, 3), np.uint8))
        return Observation(
            episode=self.key,
            step=self.steps,
            instruction=self.task.language,
            eef_pos=self.state[:3],
            eef_quat=np.array([0.0, 0.0, 0.0, 1.0]),
            gripper_qpos=np.zeros(2),
            scene=SCENE,
            images=images if sight is Sight.IMAGES else {},
        )

    @property
    def state_hash(self):
        return short_hash([self.task.id, *self.state.tolist()])

    def init_hash(self, init_state):
        return short_hash(init_state)

    def close(self):
        self.closed = True


class BreakingSimulator(FakeSimulator):
    """Its process ends in an episode of init state 20 as if it had crashed; one of init state 21 takes a while."""

    def step(self, action, sight=Sight.NOTHING):
        if self.key.init_state == 20:
            os._exit(3)
        if self.key.init_state == 21:
            time.sleep(0.1)
        return super().step(action, sight)


class Wilful(NoopPolicy):
    """Does what the init state says: 10 raises, 11 returns no numbers, 12 closes the gripper in its third action, 13 is refused.

    Else it turns in proportion to the queries of its episode, and loses the thread at the second of init state 14.
    """

    image_size = 24
    identity = {"will": "own"}

    def __init__(self):
        self.queries = {}

    def reset(self, episode):
        if episode.init_state == 13:
            raise RecordError("nothing is known of this episode", "vla-bench eval")
        self.queries[episode] = 0

    def act(self, observations):
        return [
            self.answer(observation, chunk) for observation, chunk in zip(observations, super().act(observations), strict=True)
        ]

    def answer(self, observation, chunk):
        init_state = observation.episode.init_state
        self.queries[observation.episode] += 1
        chunk.actions[:, 3] = self.queries[observation.episode] / 100
        if init_state == 10:
            raise ZeroDivisionError("cannot act here")
        if init_state == 14 and self.queries[observation.episode] == 2:
            raise KeyError("lost the thread")
        if init_state == 11:
            return Chunk(np.full((1, 7), np.nan))
        if init_state == 12:
            chunk.actions[2, 6] = 1.0
        return chunk


def make_fake(suite, assets):
    """In place of `vla_bench.world.protocol.make_simulator`."""
    return FakeSimulator(suite)


def simulators() -> Simulators:
    return Simulators({"object": SUITE}, FakeSimulator)


@dataclasses.dataclass(frozen=True)
class Tally:
    """A runner that answers a job with the process that ran it."""

    def run(self, simulator, job, request_actions):
        simulator.start(simulator.suite.task(job.task_id))
        return os.getpid()


@dataclasses.dataclass(frozen=True)
class Asking:
    """A runner that asks once and returns the answer."""

    def run(self, simulator, job, request_actions):
        simulator.start(simulator.suite.task(job.task_id))
        return request_actions(simulator.reset(job.init_state, Sight.STATE, job.repeat)).tolist()


@dataclasses.dataclass(frozen=True)
class Dying:
    """A runner whose process ends at a job of init state 1: how, a test says."""

    how: str

    def run(self, simulator, job, request_actions):
        if job.init_state == 1:
            getattr(self, self.how)()
        return os.getpid()

    def exits(self):
        os._exit(3)

    def segfaults(self):
        os.kill(os.getpid(), signal.SIGSEGV)

    def freezes(self):
        os.kill(os.getpid(), signal.SIGSTOP)

    def dies_in_a_message(self):
        """Half a message to the parent, through the one socket that this process has."""
        for descriptor in range(3, 64):
            try:
                pipe = stat.S_ISSOCK(os.fstat(descriptor).st_mode)
            except OSError:
                continue
            if pipe:
                os.write(descriptor, (1000).to_bytes(4, "big") + b"half a message")
        os._exit(1)


@dataclasses.dataclass(frozen=True)
class FakeSetup:
    """What a node of a cluster simulates with: the fake simulators, or others."""

    simulators: Simulators
    identity: dict = dataclasses.field(default_factory=dict)


def setup(make=FakeSimulator) -> FakeSetup:
    return FakeSetup(Simulators({"object": SUITE}, make))
