"""A pool of workers: assigns jobs, answers requests for actions, replaces workers that die or hang, and stops on request."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Generic, Protocol, TypeVar

import numpy as np

from vla_bench.rollout.process import EXIT_S, KILLED, WorkerProcess
from vla_bench.rollout.worker import ActionRequest, ErrorReport, Job, JobResult, Runner, Simulators, TaskKey
from vla_bench.signals import Interrupted, Interruptible
from vla_bench.world.observation import Observation

ATTEMPTS = 2  # a job that ends in an error is tried once more, in a fresh worker
KILLED_ATTEMPTS = 6  # SIGKILL comes from outside (a user, the out-of-memory killer) and says nothing about the job
RECYCLE = 100  # jobs after which a worker is replaced, since long-lived simulators grow
HANG_S = (
    300.0  # longest time without a message of a working simulator; building a task or filming an episode takes a minute at worst
)
POLL_S = 0.5
GRACE_S = 4.0  # that jobs in flight have after the first Ctrl-C
ERRORS_IN_A_ROW = 10  # with this many the cause is not a single job


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


@dataclass(frozen=True)
class Notice:
    """Event: something about the workers that a user should know, as a node that was lost."""

    message: str


Event = Started | Retried | Finished | Notice
# Attempts that request actions, and their observations -> actions (T, 7) each, or an error that ends the attempt.
AnswerRequests = Callable[[Sequence[Attempt], Sequence[Observation]], Sequence[np.ndarray | ErrorReport]]


class Worker(Protocol):
    """A worker as a pool sees it, in a process of this machine or of another one.

    attempt: its current one; None while it is free.
    task: the loaded one.  jobs: how many it was given.
    """

    attempt: Attempt | None
    task: TaskKey | None
    jobs: int

    @property
    def pid(self) -> int: ...
    def send(self, message) -> None: ...
    def stop(self) -> None: ...


AnyWorker = TypeVar("AnyWorker", bound=Worker)


class Pool(ABC, Generic[AnyWorker]):
    """Gives jobs to workers and reports each event to `on_event`.  Where workers come from, a subclass says.

    Args:
        answer: returns the actions that jobs request; without it workers must not request any.  Simultaneous requests of first
            attempts are answered in one batch, those of later attempts alone: the first may have failed because of another job.
        new_attempt: makes the Attempt of a job and its number; a subclass can store more.
        recycle: jobs after which a worker is replaced.
    """

    def __init__(
        self,
        *,
        on_event: Callable[[Event], None],
        answer: AnswerRequests | None = None,
        new_attempt: Callable[[Job, int], Attempt] = Attempt,
        recycle: int = RECYCLE,
    ):
        self.stopping = False
        self._on_event = on_event
        self._answer = answer
        self._new_attempt = new_attempt
        self._recycle = recycle
        self._workers: list[AnyWorker] = []

    @abstractmethod
    def _has_room(self) -> bool:
        """Whether a further worker can be had now."""

    @abstractmethod
    def _new_worker(self) -> AnyWorker: ...

    @abstractmethod
    def _receive(self, busy: list[AnyWorker]) -> list[tuple[AnyWorker, object]]:
        """New messages of busy workers, waiting for POLL_S at most; an ErrorReport for a worker that died or hangs."""

    def _awaits_workers(self) -> bool:
        """Whether there are jobs left, and workers to come, though none is busy."""
        return False

    def run(self, jobs: JobQueue) -> bool:
        """Run until no job is left, or after a stop until the jobs in flight end; False where those were ended.

        The first Ctrl-C is a stop; GRACE_S later, or at the second, jobs in flight are ended.  None of their results is lost on
        the way: only a query of the policy is broken off.
        """
        self._jobs = jobs
        self._tries: dict[Job, int] = {}
        say = f"stopping: what is in flight has {GRACE_S:.0f} s to finish; a second Ctrl-C ends it at once"
        done = False
        with Interruptible(grace_s=None) as ending:
            try:
                with Interruptible(self.stop, grace_s=GRACE_S, say=say) as self._ending:
                    while not done:
                        with self._ending.held():
                            self._assign()
                            busy = [each for each in self._workers if each.attempt is not None]
                            done = not busy and not self._awaits_workers()
                        if not done:
                            with self._ending.held():
                                self._handle(self._receive(busy))
            except Interrupted:
                pass
            finally:
                self._end_workers(0.0 if ending.asked else EXIT_S)
        return done

    def _end_workers(self, grace_s: float) -> None:
        until = time.monotonic() + grace_s
        for each in self._workers:
            each.dismiss()
        for each in self._workers:
            each.stop(until)
        self._workers.clear()

    def stop(self) -> None:
        """Finish the jobs in flight and start no new ones."""
        self.stopping = True

    def _assign(self) -> None:
        """Give every free worker a job, and start workers for the jobs that are left, as far as there is room."""
        if self.stopping:
            return
        for each in [each for each in self._workers if each.attempt is None and each.jobs >= self._recycle]:
            self._dismiss(each)
        for each in [each for each in self._workers if each.attempt is None]:
            job = self._next(each.task)
            if job is None:
                return
            self._give(each, job)
        while self._has_room() and (job := self._next(None)) is not None:
            self._workers.append(self._new_worker())
            self._give(self._workers[-1], job)

    def _next(self, task: TaskKey | None) -> Job | None:
        return None if self.stopping else self._jobs.next(task)

    def _give(self, each: AnyWorker, job: Job) -> None:
        each.attempt = self._new_attempt(job, self._tries.get(job, 1))
        each.task = (job.suite, job.task_id)
        each.jobs += 1
        self._on_event(Started(each.attempt, each.pid))
        each.send(job)

    def _handle(self, received: list[tuple[AnyWorker, object]]) -> None:
        """Report the jobs that ended, and answer the requests in batches."""
        for each, message in received:
            if isinstance(message, JobResult):
                attempt, each.attempt = each.attempt, None
                self._on_event(Finished(attempt, message.value))
            elif isinstance(message, ErrorReport):
                self._fail(each, message)
        requests = [(each, message.observation) for each, message in received if isinstance(message, ActionRequest)]
        for batch in batches(requests, lambda request: request[0].attempt.number):
            with self._ending.released():
                answers = self._answer([each.attempt for each, _ in batch], [observation for _, observation in batch])
            for (each, _), answer in zip(batch, answers, strict=True):
                if isinstance(answer, ErrorReport):
                    self._fail(each, answer)
                else:
                    each.send(answer)

    def _fail(self, each: AnyWorker, error: ErrorReport) -> None:
        """An attempt failed: dismiss its worker, and queue the job again or report its error."""
        attempt = each.attempt
        self._dismiss(each)
        if attempt.number < (KILLED_ATTEMPTS if error.type == KILLED else ATTEMPTS):
            self._tries[attempt.job] = attempt.number + 1
            self._jobs.put_back(attempt.job)
            self._on_event(Retried(attempt, error))
        else:
            self._on_event(Finished(attempt, error))

    def _dismiss(self, each: AnyWorker) -> None:
        each.dismiss()
        each.stop(time.monotonic() + EXIT_S)
        self._workers.remove(each)


class WorkerPool(Pool[WorkerProcess]):
    """A pool of up to `workers` processes of this machine.

    Args:
        simulators, runner: how a worker makes its simulator, and how it runs a job.
        hang_s: seconds without a message after which a worker counts as hung.
        on_event, answer, new_attempt, recycle: see Pool.
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
        super().__init__(on_event=on_event, answer=answer, new_attempt=new_attempt, recycle=recycle)
        self._what = (simulators, runner)
        self._count = workers
        self._hang_s = hang_s

    def _has_room(self) -> bool:
        return len(self._workers) < self._count

    def _new_worker(self) -> WorkerProcess:
        return WorkerProcess(*self._what)

    def _receive(self, busy: list[WorkerProcess]) -> list[tuple[WorkerProcess, object]]:
        ready = set(wait([each.connection for each in busy], timeout=POLL_S))
        received: list[tuple[WorkerProcess, object]] = []
        for each in busy:
            if each.connection in ready:
                received.append((each, each.receive()))
            elif each.silent_since is not None and time.monotonic() - each.silent_since > self._hang_s:
                received.append((each, each.kill_hung(self._hang_s)))
        return received


Request = TypeVar("Request")


def batches(requests: Sequence[Request], number: Callable[[Request], int]) -> list[list[Request]]:
    """Those of first attempts together, each of a later attempt alone.  number: the attempt's number of a request."""
    together = [each for each in requests if number(each) == 1]
    alone = [[each] for each in requests if number(each) > 1]
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
