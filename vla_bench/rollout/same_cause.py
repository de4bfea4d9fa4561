"""Finds the error that is not an episode's own: workers fail one after another with one cause, before anything has finished."""

from __future__ import annotations

from vla_bench.rollout.pool import ERRORS_IN_A_ROW
from vla_bench.rollout.process import KILLED
from vla_bench.rollout.worker import ErrorReport, Job


class SameCause:
    """Counts failed attempts at different jobs with the same error, since a job last finished.

    Attempts that failed together, as the batch of a policy that raised, have one report and count once; so does a job that fails
    again.  A worker that was killed from outside says nothing about the jobs.

    stop_reason: why to stop, once as many failed as there are workers, two at least; None before.
    """

    def __init__(self, workers: int):
        self.stop_reason: str | None = None
        self._enough = min(max(2, workers), ERRORS_IN_A_ROW)
        self.finished()

    def finished(self) -> None:
        """A job ended without an error."""
        self._error: ErrorReport | None = None
        self._jobs: set[Job] = set()
        self._times = 0

    def failed(self, job: Job, error: ErrorReport) -> None:
        """An attempt at `job` ended with `error`."""
        if error.type == KILLED:
            return
        if self._error is None or (error.type, error.message) != (self._error.type, self._error.message):
            self.finished()
        if error is not self._error and job not in self._jobs:
            self._times += 1
        self._error = error
        self._jobs.add(job)
        if self._times >= self._enough:
            self.stop_reason = f"{self._times} episodes one after another failed with one cause: {error.type}: {error.message}"
