"""A process that makes demonstrations: it has a simulator and an expert of its own, and writes itself what it made."""

from __future__ import annotations

import os
import sys
import time
import traceback
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

from vla_bench.demonstrations.attempts import Attempt
from vla_bench.demonstrations.recording import Ending
from vla_bench.policies.resolve import ResolvedModel
from vla_bench.signals import serve_parent
from vla_bench.suites import Suite
from vla_bench.world.assets import AssetPack


@dataclass(frozen=True)
class Settings:
    """What every process needs to know.  `suites` are those of the data set: their pictures have its size."""

    suites: dict[str, Suite]
    assets: AssetPack
    environment: dict[str, str]  # set before the simulator is imported
    disturbed_share: float
    learner: ResolvedModel | None = None  # a policy that acts first


@dataclass(frozen=True)
class Job:
    suite: str
    task_id: int
    number: int
    seed: int
    path: Path  # where a success is written


def main(connection: Connection, settings: Settings) -> None:
    """A process: make attempts until told to stop (None) or until whoever asks is gone."""
    serve_parent()
    os.environ.update(settings.environment)
    from vla_bench.policies.expert import Expert
    from vla_bench.world.env import World

    world, expert, learner = None, Expert(), None
    try:
        while (job := connection.recv()) is not None:
            started = time.perf_counter()
            try:
                suite = settings.suites[job.suite]
                if world is None or world.suite != suite:
                    if world is not None:
                        world.close()
                    world = World(suite, settings.assets)
                    learner = _learner(settings.learner, suite)
                attempt = make(world, expert, job, settings.disturbed_share, learner)
            except Exception as error:  # noqa: BLE001  every failure of a simulator is an attempt's error, with its cause
                trace = traceback.format_exc(limit=-3)
                text = f"{type(error).__name__}: {error}\n{trace}"
                attempt = Attempt(job.suite, job.task_id, job.number, job.seed, Ending.ERROR, error=text)
            connection.send(replace(attempt, wall_s=round(time.perf_counter() - started, 3)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # whoever asked is gone, and with it every reason to go on
    if world is not None:
        world.close()
    sys.stderr.flush()
    # robosuite frees its OpenGL context once more while Python exits and fails loudly; the world is closed already.
    os._exit(0)


def _learner(model: ResolvedModel | None, suite: Suite):
    """On one thread of the CPU: there are as many processes as cores."""
    if model is None:
        return None
    from vla_bench.policies.choice import ModelChoice
    from vla_bench.policies.registry import make_policy
    from vla_bench.values import Device

    return make_policy(ModelChoice(model.name, suites=(suite.name,), device=Device.CPU, threads=1), model=model)


def make(world, expert, job: Job, disturbed_share: float, learner=None) -> Attempt:
    """Make one attempt; a success is on the disk when this returns."""
    from vla_bench.demonstrations.demo_file import write_demos
    from vla_bench.demonstrations.recording import record

    world.start(world.suite.task(job.task_id))
    recording = record(world, expert, job.number, job.seed, disturbed_share, learner)
    frames = 0
    if recording.demo is not None:
        frames = len(recording.demo)
        write_demos(job.path, world.about(), [recording.demo])
    counts = (recording.steps, frames, recording.noops, recording.pushes, recording.led, recording.disturbed)
    return Attempt(job.suite, job.task_id, job.number, job.seed, recording.ending, *counts)
