"""A pool of workers: assigns jobs, answers requests for actions, replaces workers that die or hang, and stops on request."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Protocol

import numpy as np

from vla_bench.rollout import worker
from vla_bench.rollout.worker import ActionRequest, ErrorReport, Job, JobResult, Runner, Simulators, TaskKey
from vla_bench.signals import on_ending
from vla_bench.world.observation import Observation

ATTEMPTS = 2  # a job that ends in an error is tried once more, in a fresh worker
KILLED_ATTEMPTS = 6  # SIGKILL comes from outside (a user, the out-of-memory killer) and says nothing about the job
RECYCLE = 100  # jobs after which a worker is replaced, since long-lived simulators grow
HANG_S = (
    300.0  # longest time without a message of a working simulator; building a task or filming an episode takes a minute at worst
)
POLL_S = 0.5
ERRORS_IN_A_ROW = 10  # with this many the cause is not a single job
KILLED = "Killed"  # type of the ErrorReport of a worker that was killed from outside


class JobQueue(Protocol):
    """The jobs that are left, in their order."""

    def next(self, task: TaskKey | None) -> Job | None:
        """The next job of a worker that has `task` loaded (None: no task); None when no job is left."""

    def put_back(self, job) -> None:
        """An attempt at `job` ended in an error; queue it again."""


@dataclass
class Attempt:
    """One attempt at a job."""

    job: Job
    number: int = 1
    started: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Started:
    """Event: a worker is about to begin a job."""

    attempt: Attempt
    pid: int


@dataclass(frozen=True)
class Retried:
    """Event: an attempt ended in an error, and its job goes back into the queue."""

    attempt: Attempt
    error: ErrorReport


@dataclass(frozen=True)
class Finished:
    """Event: a job is done: the result of its runner, or the error of its last attempt."""

    attempt: Attempt
    result: object | ErrorReport


Event = Started | Retried | Finished
# Attempts that request actions, and their observations -> actions (T, 7) each, or an error that ends the attempt.
AnswerRequests = Callable[[Sequence[Attempt], Sequence[Observation]], Sequence[np.ndarray | ErrorReport]]


class WorkerPool:
    """Runs jobs in up to `workers` processes and reports each event to `on_event`.

    Args:
        simulators, runner: how a worker makes its simulator, and how it runs a job.
        answer: returns the actions that jobs request; without it a job must not request any.  Simultaneous requests of first
            attempts are answered in one batch, those of later attempts alone: the first may have failed because of another job.
        new_attempt: makes the Attempt of a job and its number; a subclass can store more.
        recycle: jobs after which a worker is replaced.
        hang_s: seconds without a message after which a worker counts as hung.
    """

    def __init__(
        self,
        simulators: Simulators,
        runner: Runner,
        *,
        workers: int,
        on_event: Callable[[Event], None],
        answer: AnswerRequests | None = None,
        new_attempt: Callable[[Job, int], Attempt] = Attempt,
        recycle: int = RECYCLE,
        hang_s: float = HANG_S,
    ):
        self.stopping = False
        self._what = (simulators, runner)
        self._count = workers
        self._on_event = on_event
        self._answer = answer
        self._new_attempt = new_attempt
        self._recycle = recycle
        self._hang_s = hang_s
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def run(self, jobs: JobQueue) -> bool:
        """Run until no job is left, or after a stop until the jobs in flight end; False when a second Ctrl-C killed those."""
        self._jobs = jobs
        self._tries: dict[Job, int] = {}
        try:
            with on_ending(self._on_ending):
                while True:
                    self._assign()
                    busy = [each for each in self._workers if each.attempt is not None]
                    if not busy:
                        return True
                    self._handle(self._receive(busy))
        except _KilledByUser:
            return False
        finally:
            for each in self._workers:
                each.stop()
            self._workers.clear()

    def stop(self) -> None:
        """Finish the jobs in flight and start no new ones."""
        self.stopping = True

    def _assign(self) -> None:
        """Give every free worker a job, and start workers for the jobs that are left, up to the allowed number."""
        if self.stopping:
            return
        for each in [each for each in self._workers if each.attempt is None and each.jobs >= self._recycle]:
            self._dismiss(each)
        for each in [each for each in self._workers if each.attempt is None]:
            job = self._next(each.task)
            if job is None:
                return
            self._give(each, job)
        while len(self._workers) < self._count and (job := self._next(None)) is not None:
            self._workers.append(_Worker(self._context, *self._what))
            self._give(self._workers[-1], job)

    def _next(self, task: TaskKey | None) -> Job | None:
        return None if self.stopping else self._jobs.next(task)

    def _give(self, each: _Worker, job: Job) -> None:
        each.attempt = self._new_attempt(job, self._tries.get(job, 1))
        each.task = (job.suite, job.task_id)
        each.jobs += 1
        self._on_event(Started(each.attempt, each.process.pid))
        each.send(job)

    def _receive(self, busy: list[_Worker]) -> list[tuple[_Worker, object]]:
        """New messages of busy workers; an ErrorReport for a worker that died or hangs."""
        ready = set(wait([each.connection for each in busy], timeout=POLL_S))
        received: list[tuple[_Worker, object]] = []
        for each in busy:
            if each.connection in ready:
                received.append((each, each.receive()))
            elif each.silent_since is not None and time.monotonic() - each.silent_since > self._hang_s:
                each.process.kill()
                received.append((each, ErrorReport("Hang", f"the simulator did not answer for {self._hang_s:.0f} s", "")))
        return received

    def _handle(self, received: list[tuple[_Worker, object]]) -> None:
        """Answer the requests in batches, and report the jobs that ended."""
        requests = [(each, message.observation) for each, message in received if isinstance(message, ActionRequest)]
        for each, _ in requests:
            each.silent_since = None
        for batch in _batches(requests):
            answers = self._answer([each.attempt for each, _ in batch], [observation for _, observation in batch])
            for (each, _), answer in zip(batch, answers, strict=True):
                if isinstance(answer, ErrorReport):
                    self._fail(each, answer)
                else:
                    each.send(answer)
        for each, message in received:
            if isinstance(message, JobResult):
                attempt, each.attempt = each.attempt, None
                self._on_event(Finished(attempt, message.value))
            elif isinstance(message, ErrorReport):
                self._fail(each, message)

    def _fail(self, each: _Worker, error: ErrorReport) -> None:
        """An attempt failed: dismiss its worker, and queue the job again or report its error."""
        attempt = each.attempt
        self._dismiss(each)
        if attempt.number < (KILLED_ATTEMPTS if error.type == KILLED else ATTEMPTS):
            self._tries[attempt.job] = attempt.number + 1
            self._jobs.put_back(attempt.job)
            self._on_event(Retried(attempt, error))
        else:
            self._on_event(Finished(attempt, error))

    def _dismiss(self, each: _Worker) -> None:
        each.stop()
        self._workers.remove(each)

    def _on_ending(self) -> None:
        """The first Ctrl-C (or SIGTERM) stops new jobs, the second kills the jobs in flight."""
        if self.stopping:
            raise _KilledByUser
        self.stop()


class _Worker:
    """A worker's process, its pipe, and its current attempt."""

    def __init__(self, context, simulators: Simulators, runner: Runner):
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=worker.main, args=(theirs, simulators, runner), daemon=True)
        self.process.start()
        theirs.close()
        self.attempt: Attempt | None = None
        self.task: TaskKey | None = None
        self.jobs = 0
        self.silent_since: float | None = None  # None while the worker waits for actions

    def send(self, message) -> None:
        """Send a message.  A worker that died in the meantime is detected in `receive`."""
        self.silent_since = time.monotonic()
        try:
            self.connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def receive(self) -> object:
        """The worker's message; an ErrorReport if it died."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):  # OSError: in the middle of a message
            self.process.join()
            code = self.process.exitcode
            if code == -signal.SIGKILL:
                return ErrorReport(KILLED, "the simulator process was killed from outside", "")
            cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return ErrorReport("Crash", f"the simulator process died: {cause}", "")

    def stop(self, grace_s: float = 5.0) -> None:
        """End the process: an idle worker is asked to exit and has `grace_s` seconds, others are killed."""
        if self.process.is_alive() and self.attempt is None:
            self.send(None)
            self.process.join(grace_s)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.connection.close()


class _KilledByUser(BaseException):
    """Second Ctrl-C."""


def _batches(requests: list[tuple[_Worker, Observation]]) -> list[list[tuple[_Worker, Observation]]]:
    together = [each for each in requests if each[0].attempt.number == 1]
    alone = [[each] for each in requests if each[0].attempt.number > 1]
    return [together, *alone] if together else alone


class ErrorStreak:
    """Counts consecutive jobs that ended in errors.  stop_reason: why to stop, once there are too many; None before."""

    def __init__(self, jobs: str):
        self.stop_reason: str | None = None
        self._jobs = jobs
        self._length = 0

    def add(self, error: str | None) -> None:
        """Count a job that ended with the error `error`, or None."""
        self._length = 0 if error is None else self._length + 1
        if self._length >= ERRORS_IN_A_ROW:
            self.stop_reason = f"{self._length} {self._jobs} in a row ended in errors, the last one: {error}"
