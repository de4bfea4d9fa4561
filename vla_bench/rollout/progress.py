"""Progress of an evaluation, on standard error."""

from __future__ import annotations

from vla_bench.progress import Bar
from vla_bench.records import Episode, Status
from vla_bench.rollout.journal import Observer
from vla_bench.rollout.pool import Event, Retried
from vla_bench.stats import wilson


class ProgressDisplay(Observer):
    """Done of total, running success with its interval, episodes an hour, time left."""

    def __init__(self):
        self._bar = Bar("episodes")

    def begin(self, message: str, total: int, done: list[Episode]) -> None:
        self._successes = sum(e.status is Status.SUCCESS for e in done)
        self._errors = sum(e.status is Status.ERROR for e in done)
        self._done = len(done)
        self._bar.begin(message, total, len(done))

    def event(self, event: Event, episode: Episode | None) -> None:
        if isinstance(event, Retried):
            self._bar.say(f"{event.attempt.episode}: {event.error.message}; retried in a new worker")
        if episode is None:
            return
        self._done += 1
        self._successes += episode.status is Status.SUCCESS
        self._errors += episode.status is Status.ERROR
        if episode.status is Status.ERROR:
            self._bar.say(f"{episode.key}: error: {episode.error['message']}")
        errors = f", {self._errors} errors" if self._errors else ""
        self._bar.update(self._done, f"{wilson(self._successes, self._done - self._errors)}{errors}")

    def end(self) -> None:
        self._bar.end()
