"""Progress on standard error: a bar on a terminal, one line a minute elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from vla_bench.records import Episode, Status
from vla_bench.rollout.engine import Event, Retried
from vla_bench.rollout.journal import Observer
from vla_bench.stats import wilson

LINE_EVERY_S = 60.0


class ProgressDisplay(Observer):
    """Done of total, episodes an hour, running success with its interval, time left."""

    def __init__(self):
        self._console = Console(stderr=True)
        self._bar: Progress | None = None

    def begin(self, message: str, total: int, done: list[Episode]) -> None:
        self._total = total
        self._successes = sum(e.status is Status.SUCCESS for e in done)
        self._errors = sum(e.status is Status.ERROR for e in done)
        self._done = len(done)
        self._before = len(done)
        self._started = self._last_line = time.monotonic()
        self._console.print(message, markup=False, highlight=False, soft_wrap=True)
        if self._console.is_terminal and self._done < total:
            columns = [BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[text]}"), TimeElapsedColumn()]
            self._bar = Progress(*columns, console=self._console)
            self._task = self._bar.add_task("", total=total, completed=self._done, text="")
            self._bar.start()

    def event(self, event: Event, episode: Episode | None) -> None:
        if isinstance(event, Retried):
            self._say(f"{event.attempt.episode}: {event.trouble.message}; trying once more in a fresh worker")
        if episode is None:
            return
        self._done += 1
        self._successes += episode.status is Status.SUCCESS
        self._errors += episode.status is Status.ERROR
        if episode.status is Status.ERROR:
            self._say(f"{episode.key}: error: {episode.error['message']}")
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, text=self._text())
        elif time.monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = time.monotonic()
            self._say(f"{self._done}/{self._total}  {self._text()}")

    def end(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _text(self) -> str:
        elapsed = time.monotonic() - self._started
        rate = (self._done - self._before) / elapsed if elapsed > 0 else 0.0
        left = f"{(self._total - self._done) / rate / 60:.0f} min left" if rate > 0 else "?"
        errors = f", {self._errors} errors" if self._errors else ""
        return f"{wilson(self._successes, self._done - self._errors)}{errors}, {3600 * rate:.0f} episodes/h, {left}"
