"""A worker: a process with one simulator.  It runs jobs, may ask its parent for actions, and writes no results of its own."""

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
Ask = Callable[[Observation], np.ndarray]  # an observation in, a chunk of actions (T, 7) back


class Job(Protocol):
    """What a worker is given to do: hashable, and it says which task it needs.  An EpisodeKey is one."""

    @property
    def suite(self) -> str: ...
    @property
    def task_id(self) -> int: ...


class Runner(Protocol):
    """How a job is done.  Every worker has a copy of its own, so it must pickle."""

    def run(self, simulator: Simulator, job: Job, ask: Ask) -> object:
        """The result, which goes to the parent.  The simulator is of the job's suite; which task it has loaded is not said.

        What it raises becomes an ErrorReport.
        """


@dataclass(frozen=True)
class Simulators:
    """What every worker needs to know to make its simulator.

    suites: by short name.
    make: the simulator of a suite; a module's function or a partial of one, since it travels to the workers.
    environment: variables that are set before the simulator is imported.
    """

    suites: dict[str, Suite]
    make: Callable[[Suite], Simulator]
    environment: dict[str, str] = field(default_factory=dict)


# What a worker sends.  It receives jobs, chunks of actions, and at last None.


@dataclass(frozen=True)
class ActionRequest:
    """The job that is running needs the next actions."""

    observation: Observation


@dataclass(frozen=True)
class JobResult:
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
    """And with it every reason to go on."""


def main(connection: Connection, simulators: Simulators, runner: Runner) -> None:
    """Run jobs until told to stop (None) or until the parent is gone."""
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

    def ask(observation: Observation) -> np.ndarray:
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
                send(JobResult(runner.run(simulator, job, ask)))
            except Exception as error:  # noqa: BLE001  every failure of a simulator is its job's error, with its cause
                send(ErrorReport.of(error))
    except _ParentGone:
        pass
    if simulator is not None:
        simulator.close()
    sys.stderr.flush()
    # robosuite frees its OpenGL context once more while Python exits and fails loudly; the simulator is closed already.
    os._exit(0)
