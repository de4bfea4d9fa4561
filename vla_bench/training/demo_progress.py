"""Progress of `vla-bench demos` on standard error: a bar on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vla_bench.stats import wilson
from vla_bench.training.attempts import Attempt, TaskBook
from vla_bench.training.demos import DemoObserver
from vla_bench.training.recording import Ending

LINE_EVERY_S = 60.0


class DemoProgress(DemoObserver):
    """Demonstrations done of those wanted, the expert's success with its interval, time left."""

    def __init__(self):
        self._console = Console(stderr=True)
        self._bar: Progress | None = None

    def begin(self, message: str, books: Sequence[TaskBook]) -> None:
        self._started = self._last_line = time.monotonic()
        self._before, self._total = _done(books), sum(book.wanted for book in books)
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)
        if self._console.is_terminal and self._before < self._total:
            columns = [BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"), TimeElapsedColumn()]
            self._bar = Progress(*columns, console=self._console)
            self._task = self._bar.add_task("", total=self._total, completed=self._before, text="")
            self._bar.start()

    def attempt(self, attempt: Attempt, books: Sequence[TaskBook]) -> None:
        if attempt.ending is Ending.ERROR:
            where = f"{attempt.suite} {attempt.task_id} attempt {attempt.number}"
            self._say(f"{where}: error: {attempt.error.splitlines()[0]}")
        if self._bar is not None:
            self._bar.update(self._task, completed=_done(books), text=self._text(books))
        elif time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._say(f"{_done(books)}/{self._total}  {self._text(books)}")

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _text(self, books: Sequence[TaskBook]) -> str:
        done, elapsed = _done(books), time.monotonic() - self._started
        rate = (done - self._before) / elapsed if elapsed > 0 else 0.0
        left = f"{(self._total - done) / rate / 60:.0f} min left" if rate > 0 else "?"
        rates = [book.rate for book in books]
        return f"{wilson(sum(r.successes for r in rates), sum(r.n for r in rates))}, {3600 * rate:.0f} demos/h, {left}"


def _done(books: Sequence[TaskBook]) -> int:
    return sum(len(book.kept) for book in books)
