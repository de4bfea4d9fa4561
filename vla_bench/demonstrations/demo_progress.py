"""Progress of `vla-bench demos` on standard error."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.demonstrations.attempts import Attempt, TaskBook
from vla_bench.demonstrations.demos import DemoObserver
from vla_bench.demonstrations.recording import Ending
from vla_bench.progress import Bar
from vla_bench.stats import wilson


class DemoProgress(DemoObserver):
    """Demonstrations done of those wanted, the expert's success with its interval, time left."""

    def __init__(self):
        self._bar = Bar("demos")

    def begin(self, message: str, books: Sequence[TaskBook]) -> None:
        self._bar.begin(message, sum(book.wanted for book in books), _done(books))

    def attempt(self, attempt: Attempt, books: Sequence[TaskBook]) -> None:
        if attempt.ending is Ending.ERROR:
            where = f"{attempt.suite} {attempt.task_id} attempt {attempt.number}"
            self._bar.say(f"{where}: error: {attempt.error.splitlines()[0]}")
        rates = [book.rate for book in books]
        self._bar.moved(_done(books), str(wilson(sum(r.successes for r in rates), sum(r.n for r in rates))))

    def end(self) -> None:
        self._bar.end()


def _done(books: Sequence[TaskBook]) -> int:
    return sum(len(book.kept) for book in books)
