"""The order in which workers make attempts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vla_bench.demonstrations.attempts import TaskProgress, attempt_seed
from vla_bench.demonstrations.runner import DemoJob
from vla_bench.rollout.worker import TaskKey


class DemoSchedule:
    """Hands out attempts, and tracks those in flight.

    Args:
        seed: of the data set.
        folder: of the data set; demonstrations are written below it.
    """

    def __init__(self, tasks: Sequence[TaskProgress], seed: int, folder: Path):
        self._tasks = tasks
        self._seed = seed
        self._folder = folder
        self._in_flight: dict[TaskKey, set[int]] = {progress.key: set() for progress in tasks}

    def next(self, current: TaskKey | None = None) -> DemoJob | None:
        """A worker stays with its task (loading one takes seconds), then begins the longest one that is free, then joins one."""
        for progress in sorted(self._tasks, key=lambda each: self._rank(each, current)):
            number = progress.next(self._in_flight[progress.key])
            if number is not None:
                self._in_flight[progress.key].add(number)
                return DemoJob(
                    *progress.key, number, attempt_seed(self._seed, *progress.key, number), self._folder / progress.part(number)
                )
        return None

    def put_back(self, job: DemoJob) -> None:
        """Queue an attempt again."""
        self.ended(job)

    def ended(self, job: DemoJob) -> None:
        """An attempt is no longer in flight; its task's progress has its result."""
        self._in_flight[job.suite, job.task_id].remove(job.number)

    def _rank(self, progress: TaskProgress, current: TaskKey | None) -> tuple:
        work = (progress.wanted - len(progress.successes)) * progress.suite.horizon
        return (progress.key != current, len(self._in_flight[progress.key]), -work, progress.key)
