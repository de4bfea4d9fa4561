"""Runs attempts in processes of their own, replaces those that die or hang, and stops when asked to."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

from vla_bench.demonstrations import demo_worker
from vla_bench.demonstrations.attempts import Attempt
from vla_bench.demonstrations.demo_worker import Job, Settings
from vla_bench.demonstrations.recording import Ending
from vla_bench.signals import on_ending

TRIES = 2  # of an attempt whose process died
HANG_S = 300.0  # longest silence of a process; starting a task takes a minute at worst
RECYCLE = 100  # attempts after which a process is replaced, since long-lived simulators grow
POLL_S = 0.5


@dataclass
class _Member:
    """A process, its pipe, and what it is doing."""

    process: multiprocessing.process.BaseProcess
    connection: Connection
    job: Job | None = None
    tries: int = 1
    since: float = 0.0
    jobs: int = 0

    def give(self, job: Job, tries: int = 1) -> None:
        self.job, self.tries, self.since = job, tries, time.monotonic()
        self.jobs += 1
        try:
            self.connection.send(job)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it died meanwhile: noticed where its silence is read

    def stop(self) -> None:
        if self.process.is_alive() and self.job is None:
            try:
                self.connection.send(None)
                self.process.join(5.0)
            except (BrokenPipeError, ConnectionResetError):
                pass
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.connection.close()


class Crew:
    """Runs jobs in `count` processes until `next_job` has none left or somebody stops it.

    Args:
        next_job: the next job for a process that has the given task (suite, task id) loaded.
        on_attempt: told of every finished attempt, before the next job is asked for.
    """

    def __init__(
        self,
        settings: Settings,
        count: int,
        next_job: Callable[[tuple[str, int] | None], Job | None],
        on_attempt: Callable[[Attempt], None],
    ):
        self.settings = settings
        self.count = count
        self.next_job = next_job
        self.on_attempt = on_attempt
        self.stopping = False
        self._context = multiprocessing.get_context("spawn")
        self._members: list[_Member] = []

    def run(self) -> None:
        """Until no job is left, or what was in flight when somebody stopped it has ended."""
        idle: list[tuple[_Member | None, tuple[str, int] | None]] = [(None, None)] * self.count
        try:
            with on_ending(self._interrupted):
                while True:
                    idle = [place for place in idle if not self._assign(*place)]
                    busy = [m for m in self._members if m.job is not None]
                    if not busy:
                        return
                    idle += self._collect(busy)
        except _KilledByUser:
            pass
        finally:
            for member in self._members:
                member.stop()

    def stop(self) -> None:
        """Finish what is in flight and start nothing new."""
        self.stopping = True

    def _interrupted(self) -> None:
        """The first Ctrl-C (or SIGTERM) stops, the second kills what is in flight."""
        if self.stopping:
            raise _KilledByUser
        self.stop()

    def _assign(self, member: _Member | None, task: tuple[str, int] | None) -> bool:
        """Give a job to a free process, or to a new one in a free place; False when there is none to give."""
        job = None if self.stopping else self.next_job(task)
        if job is None:
            return False
        if member is None or member.jobs >= RECYCLE:
            if member is not None:
                self._dismiss(member)
            member = self._hire()
        member.give(job)
        return True

    def _collect(self, busy: list[_Member]) -> list[tuple[_Member | None, tuple[str, int]]]:
        """Book the attempts that ended; returns the places that are free now."""
        free = []
        ready = wait([m.connection for m in busy], timeout=POLL_S)
        for member in busy:
            job = member.job
            place = (job.suite, job.task_id)
            heard = _hear(member, member.connection in ready)
            if isinstance(heard, Attempt):
                member.job = None
                self.on_attempt(heard)
                free.append((member, place))
            elif heard is not None:
                self._dismiss(member)
                if member.tries < TRIES and not self.stopping:
                    self._hire().give(job, member.tries + 1)
                else:
                    self.on_attempt(Attempt(*place, job.number, job.seed, Ending.ERROR, error=heard))
                    free.append((None, place))
        return free

    def _hire(self) -> _Member:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=demo_worker.main, args=(theirs, self.settings), daemon=True)
        process.start()
        theirs.close()
        self._members.append(_Member(process, ours))
        return self._members[-1]

    def _dismiss(self, member: _Member) -> None:
        member.stop()
        self._members.remove(member)


def _hear(member: _Member, ready: bool) -> Attempt | str | None:
    """The attempt that ended, or the trouble that kept it from ending; None while it is being made."""
    if ready:
        try:
            return member.connection.recv()
        except (EOFError, OSError):  # OSError: in the middle of a message
            member.process.join()
            return f"the process died with exit code {member.process.exitcode}"
    if time.monotonic() - member.since > HANG_S:
        return f"the process did not answer for {HANG_S:.0f} s"
    return None


class _KilledByUser(BaseException):
    """Second Ctrl-C."""
