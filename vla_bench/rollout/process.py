"""A worker's process, as its parent sees it."""

from __future__ import annotations

import multiprocessing
import signal
import time
from multiprocessing import resource_tracker

from vla_bench.rollout import worker
from vla_bench.rollout.worker import ActionRequest, ErrorReport, Runner, Simulators, TaskKey
from vla_bench.signals import not_yet

EXIT_S = 5.0  # that an idle process has to exit
KILL_S = 1.0  # that a killed process has to be gone: one in a driver may never be, and the run shall not wait for it
KILLED = "Killed"  # type of the ErrorReport of a worker that was killed from outside
_SPAWN = multiprocessing.get_context("spawn")


class WorkerProcess:
    """A process with one simulator, its pipe, and its current attempt.

    attempt: an Attempt of the pool; None while the worker is free.
    task: the loaded one.  jobs: how many it was given.
    silent_since: since when (time.monotonic) a message is awaited; None while the worker waits for actions.
    """

    def __init__(self, simulators: Simulators, runner: Runner):
        self.connection, theirs = _SPAWN.Pipe()
        self.process = _SPAWN.Process(target=worker.main, args=(theirs, simulators, runner), daemon=True)
        resource_tracker.ensure_running()  # multiprocessing starts it with the first process, and unblocks the signals then
        with not_yet():  # a Ctrl-C while Python starts there would be a trace on the screen
            self.process.start()
        theirs.close()
        self.attempt = None
        self.task: TaskKey | None = None
        self.jobs = 0
        self.silent_since: float | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

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
            message = self.connection.recv()
        except (EOFError, OSError):  # OSError: in the middle of a message
            self.process.join()
            code = self.process.exitcode
            if code == -signal.SIGKILL:
                return ErrorReport(KILLED, "the simulator process was killed from outside", "")
            cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            return ErrorReport("Crash", f"the simulator process died: {cause}", "")
        if isinstance(message, ActionRequest):
            self.silent_since = None
        return message

    def kill_hung(self, hang_s: float) -> ErrorReport:
        """Kill a process that sent nothing for `hang_s` seconds; the error of its job."""
        self.process.kill()
        return ErrorReport("Hang", f"the simulator did not answer for {hang_s:.0f} s", "")

    def dismiss(self) -> None:
        """Ask an idle process to exit."""
        if self.attempt is None and self.process.is_alive():
            self.send(None)

    def stop(self, until: float = 0.0) -> None:
        """End the process; an idle one that was asked to exit has until then (time.monotonic)."""
        if self.attempt is None:
            self.process.join(max(0.0, until - time.monotonic()))
        if self.process.is_alive():
            self.process.kill()
        self.process.join(KILL_S)
        self.connection.close()
