"""Progress of an evaluation, on standard error."""

from __future__ import annotations

from vla_bench.progress import Bar
from vla_bench.records import Episode, Status
from vla_bench.results.units import rate_of, units_of
from vla_bench.rollout.journal import Observer
from vla_bench.rollout.pool import Event, Notice, Retried


class ProgressDisplay(Observer):
    """Done of total, running success of the init states with its interval, episodes an hour, time left."""

    def __init__(self):
        self._bar = Bar("episodes")

    def say(self, message: str) -> None:
        self._bar.say(message)

    def begin(self, message: str, total: int, done: list[Episode]) -> None:
        self._done = list(done)
        self._bar.begin(message, total, len(done))

    def event(self, event: Event, episode: Episode | None) -> None:
        if isinstance(event, Notice):
            self._bar.say(event.message)
        if isinstance(event, Retried):
            self._bar.say(f"{event.attempt.episode}: {event.error.message}; retried in a new worker")
        if episode is None:
            return
        self._done.append(episode)
        if episode.status is Status.ERROR:
            self._bar.say(f"{episode.key}: error: {episode.error['message']}")
        failed = sum(e.status is Status.ERROR for e in self._done)
        errors = f", {failed} errors" if failed else ""
        self._bar.update(len(self._done), f"{rate_of(units_of(self._done).values())} init states{errors}")

    def end(self) -> None:
        self._bar.end()
