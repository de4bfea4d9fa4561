"""One simulator in a process of its own.  It asks for actions and reports how episodes end; it writes no results."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from vla_bench.records import EpisodeKey
from vla_bench.signals import serve_parent
from vla_bench.suites import Suite
from vla_bench.world.assets import AssetPack
from vla_bench.world.observation import Observation, Sight


@dataclass(frozen=True)
class Settings:
    """What every worker of a run needs to know."""

    suites: dict[str, Suite]
    assets: AssetPack
    environment: dict[str, str]  # set before the simulator is imported
    sight: Sight
    image_size: int | None = None  # what the policy looks at; None: the suite's


# What travels between the engine and a worker.


@dataclass(frozen=True)
class Job:
    episode: EpisodeKey
    video: str = "none"  # all | failures | none
    video_folder: Path | None = None


@dataclass(frozen=True)
class Query:
    observation: Observation


@dataclass(frozen=True)
class Trouble:
    """What kept an episode from its end, or a video from being made."""

    type: str
    message: str
    trace: str

    @classmethod
    def of(cls, error: Exception) -> Trouble:
        return cls(type(error).__name__, str(error), traceback.format_exc())


@dataclass(frozen=True)
class Outcome:
    """An episode that ran to its end."""

    success: bool
    actions: np.ndarray  # (T, 7)
    wall_s: float
    init_hash: str
    state_hash: str
    video: str | None  # file name
    trouble: Trouble | None = None  # with its video: what was measured stands


def main(connection: Connection, settings: Settings) -> None:
    """Run jobs until told to stop (None) or until the engine is gone."""
    serve_parent()
    os.environ.update(settings.environment)
    from vla_bench.world.env import World

    world = None
    try:
        while (job := connection.recv()) is not None:
            suite = settings.suites[job.episode.suite]
            try:
                if world is None or world.suite != suite:
                    if world is not None:
                        world.close()
                    world = World(suite, settings.assets)
                world.image_size = settings.image_size or suite.image_size
                connection.send(run_job(world, job, settings.sight, _asker(connection)))
            except (EOFError, BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:  # noqa: BLE001  every failure of a simulator is an episode's error, with its cause
                connection.send(Trouble.of(error))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the engine is gone, and with it every reason to go on
    if world is not None:
        world.close()
    sys.stderr.flush()
    # robosuite frees its OpenGL context once more while Python exits and fails loudly; the world is closed already.
    os._exit(0)


def run_job(world, job: Job, sight: Sight, ask: Callable[[Observation], np.ndarray]) -> Outcome:
    """Run one episode, and record it when its ending asks for a video."""
    started = time.perf_counter()
    key = job.episode
    world.start(world.suite.task(key.task_id))
    success, actions = run_episode(world, key, sight, ask)
    state_hash = world.state_hash
    wall_s = time.perf_counter() - started
    init_hash = world.init_hash(key.init_state)
    video, trouble = None, None
    if job.video == "all" or (job.video == "failures" and not success):
        from vla_bench.rollout.video import record

        try:
            video = record(world, key, actions, success, job.video_folder)
        except Exception as error:  # noqa: BLE001  were it the episode's error, failures alone would vanish from a rate
            trouble = Trouble.of(error)
    return Outcome(success, actions, wall_s, init_hash, state_hash, video, trouble)


def run_episode(world, key: EpisodeKey, sight: Sight, ask: Callable[[Observation], np.ndarray]) -> tuple[bool, np.ndarray]:
    """Query, act open loop, query again, until the goal holds or the horizon is reached: success and all actions (T, 7)."""
    observation = world.reset(key.init_state, sight, key.repeat)
    done: list[np.ndarray] = []
    horizon = world.suite.horizon
    while True:
        chunk = ask(observation)[: horizon - len(done)]
        for i, action in enumerate(chunk):
            done.append(action)
            look = i == len(chunk) - 1 and len(done) < horizon
            success, observation = world.step(action, sight if look else Sight.NOTHING)
            if success or len(done) == horizon:
                return success, np.array(done)


def _asker(connection: Connection) -> Callable[[Observation], np.ndarray]:
    def ask(observation: Observation) -> np.ndarray:
        connection.send(Query(observation))
        return connection.recv()

    return ask
