"""Progress of a sweep, on standard error: one bar over the episodes of all rows."""

from __future__ import annotations

from vla_bench.progress import Bar
from vla_bench.records import Episode, Status
from vla_bench.results.units import rate_of, units_of
from vla_bench.rollout.journal import Observer
from vla_bench.rollout.pool import Event, Notice, Retried


class SweepObserver:
    """Receives the events of a sweep.  This one ignores them."""

    def begin(self, message: str, total: int) -> None: ...

    def of_run(self, name: str) -> Observer:
        """The observer of a row's next run."""
        return Observer()

    def end(self) -> None: ...


class SweepProgress(SweepObserver):
    """Done of all episodes; of the running row its name and its running success; episodes an hour, time left."""

    def __init__(self) -> None:
        self.bar = Bar("episodes")
        self.done = 0

    def begin(self, message: str, total: int) -> None:
        self.bar.begin(message, total, 0)

    def of_run(self, name: str) -> Observer:
        return _RunProgress(self, name)

    def end(self) -> None:
        self.bar.end()


class _RunProgress(Observer):
    def __init__(self, sweep: SweepProgress, name: str):
        self._sweep, self._name = sweep, name

    def begin(self, message: str, total: int, done: list[Episode]) -> None:
        self._done = list(done)
        self._sweep.done += len(done)
        self._sweep.bar.skip(len(done))
        self._sweep.bar.say(f"{self._name}: {message.splitlines()[0]}")

    def event(self, event: Event, episode: Episode | None) -> None:
        bar = self._sweep.bar
        if isinstance(event, Notice):
            bar.say(f"{self._name}: {event.message}")
        if isinstance(event, Retried):
            bar.say(f"{self._name}: {event.attempt.episode}: {event.error.message}; retried in a new worker")
        if episode is None:
            return
        self._done.append(episode)
        self._sweep.done += 1
        if episode.status is Status.ERROR:
            bar.say(f"{self._name}: {episode.key}: error: {episode.error['message']}")
        bar.update(self._sweep.done, f"{self._name}: {rate_of(units_of(self._done).values())} init states")
