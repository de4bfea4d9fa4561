"""Progress of a long command on standard error: a bar on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

LINE_EVERY_S = 60.0


class Bar:
    """Counts from the number done before to `total`, in units such as "episodes"."""

    def __init__(self, unit: str):
        self._unit = unit
        self._console = Console(stderr=True)
        self._bar: Progress | None = None

    def begin(self, message: str, total: int, done: int) -> None:
        self._total, self._before = total, done
        self._started = self._last_line = time.monotonic()
        self.say(message)
        if self._console.is_terminal and done < total:
            columns = [BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"), TimeElapsedColumn()]
            self._bar = Progress(*columns, console=self._console)
            self._task = self._bar.add_task("", total=total, completed=done, text="")
            self._bar.start()

    def update(self, done: int, text: str) -> None:
        """Show `done`, `text`, the rate per hour and the time left."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, text=f"{text}, {self._rate(done)}")
        elif time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            self.say(f"{done}/{self._total}  {text}, {self._rate(done)}")

    def skip(self, number: int) -> None:
        """Count so many more as done before: they took no time of this call."""
        self._before += number

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _rate(self, done: int) -> str:
        elapsed = time.monotonic() - self._started
        rate = (done - self._before) / elapsed if elapsed > 0 else 0.0
        left = f"{(self._total - done) / rate / 60:.0f} min left" if rate > 0 else "?"
        return f"{3600 * rate:.0f} {self._unit}/h, {left}"
