"""A worker: a process with one simulator.  It runs jobs, may request actions from its parent, and writes no results itself."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Protocol

import numpy as np

from vla_bench.signals import serve_parent
from vla_bench.suites import Suite
from vla_bench.world.observation import Observation
from vla_bench.world.protocol import Simulator

TaskKey = tuple[str, int]  # suite name, task id
RequestActions = Callable[[Observation], np.ndarray]  # observation -> action chunk (T, 7)


class Job(Protocol):
    """A job of a worker: hashable, with the task that it needs.  An EpisodeKey is one."""

    @property
    def suite(self) -> str: ...
    @property
    def task_id(self) -> int: ...


class Runner(Protocol):
    """Runs jobs.  Every worker has its own copy, so it must pickle."""

    def run(self, simulator: Simulator, job: Job, request_actions: RequestActions) -> object:
        """Run a job and return its result, which is sent to the parent.  An exception becomes an ErrorReport.

        simulator: one of the job's suite, with any task loaded.
        """


@dataclass(frozen=True)
class Simulators:
    """How every worker makes its simulator.

    suites: by short name.
    make: makes the simulator of a suite; a function of a module or a partial of one, since it is pickled.
    environment: environment variables that are set before the simulator is imported.
    """

    suites: dict[str, Suite]
    make: Callable[[Suite], Simulator]
    environment: dict[str, str] = field(default_factory=dict)


# Messages of a worker.  It receives jobs and action chunks, and None to exit.


@dataclass(frozen=True)
class ActionRequest:
    """The running job requests actions for `observation`."""

    observation: Observation


@dataclass(frozen=True)
class JobResult:
    """A job ended; `value` is the result of its runner."""

    value: object


@dataclass(frozen=True)
class ErrorReport:
    """An error that ended an attempt at a job: type and message of an exception, or `Crash`, `Hang`, `Killed`."""

    type: str
    message: str
    trace: str

    @classmethod
    def of(cls, error: Exception) -> ErrorReport:
        return cls(type(error).__name__, str(error), traceback.format_exc())


class _ParentGone(BaseException):
    """The parent process died."""


def main(connection: Connection, simulators: Simulators, runner: Runner) -> None:
    """Run jobs until None is received or the parent dies."""
    serve_parent()
    os.environ.update(simulators.environment)
    simulator = None

    def send(message: object) -> None:
        try:
            connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            raise _ParentGone from None

    def receive():
        try:
            return connection.recv()
        except (EOFError, ConnectionResetError):
            raise _ParentGone from None

    def request_actions(observation: Observation) -> np.ndarray:
        send(ActionRequest(observation))
        return receive()

    try:
        while (job := receive()) is not None:
            try:
                suite = simulators.suites[job.suite]
                if simulator is None or simulator.suite != suite:
                    if simulator is not None:
                        simulator.close()
                        simulator = None
                    simulator = simulators.make(suite)
                send(JobResult(runner.run(simulator, job, request_actions)))
            except Exception as error:  # noqa: BLE001  every failure is reported as its job's error
                send(ErrorReport.of(error))
    except _ParentGone:
        pass
    if simulator is not None:
        simulator.close()
    sys.stderr.flush()
    # At interpreter exit robosuite would free its OpenGL context again and print errors; the simulator is closed already.
    os._exit(0)
