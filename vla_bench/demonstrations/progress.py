"""Progress of `vla-bench demos` on standard error."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.demonstrations.attempts import AttemptRecord, TaskProgress, overall_rate
from vla_bench.demonstrations.demos import DemoObserver
from vla_bench.demonstrations.recording import Ending
from vla_bench.progress import Bar


class DemoProgress(DemoObserver):
    """Demonstrations done of those wanted, the expert's success with its interval, time left."""

    def __init__(self):
        self._bar = Bar("demos")

    def begin(self, message: str, tasks: Sequence[TaskProgress]) -> None:
        self._bar.begin(message, sum(progress.wanted for progress in tasks), _done(tasks))

    def attempt(self, attempt: AttemptRecord, tasks: Sequence[TaskProgress]) -> None:
        if attempt.ending is Ending.ERROR:
            where = f"{attempt.suite} {attempt.task_id} attempt {attempt.number}"
            self._bar.say(f"{where}: error: {attempt.error.splitlines()[0]}")
        self._bar.update(_done(tasks), str(overall_rate(tasks)))

    def end(self) -> None:
        self._bar.end()


def _done(tasks: Sequence[TaskProgress]) -> int:
    return sum(len(progress.successes) for progress in tasks)
