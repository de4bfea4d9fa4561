"""An evaluation's progress for experiment trackers: the running success rate, and each episode's numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from vla_bench.records import Episode, EpisodeKey, Run, Status
from vla_bench.results.summary import summarise
from vla_bench.results.units import rate_of, units_of
from vla_bench.rollout.journal import Observer
from vla_bench.rollout.pool import Event
from vla_bench.rollout.sweep_progress import SweepObserver
from vla_bench.stats import Rate
from vla_bench.tracking import Tracker


class TrackedRun(Observer):
    """Passes everything on to another observer, and to a tracker: a step is an episode that ended, those of before included.

    name: of a row of a sweep; None for a run by itself.
    """

    def __init__(self, observer: Observer, tracker: Tracker, name: str | None = None):
        self._observer, self._tracker, self._name = observer, tracker, name
        self._run: Run | None = None
        self._done: dict[EpisodeKey, Episode] = {}

    def say(self, message: str) -> None:
        self._observer.say(message)

    def opened(self, run: Run) -> None:
        self._observer.opened(run)
        self._run = run
        facts = ("command", "config_hash", "git_commit", "created", "assets", "environment", "suites")
        self._tracker.start(tracked_name(run, self._name), run.config | {name: getattr(run, name) for name in facts})

    def begin(self, message: str, total: int, done: list[Episode]) -> None:
        self._observer.begin(message, total, done)
        self._done = {episode.key: episode for episode in done}

    def event(self, event: Event, episode: Episode | None) -> None:
        self._observer.event(event, episode)
        if episode is not None:
            self._done[episode.key] = episode
            self._tracker.log(len(self._done), self._values(episode))

    def end(self) -> None:
        self._observer.end()
        if self._run is not None:
            total = summarise(self._done.values()).total
            ended = _rate("success", total.rate) | {"errors": total.errors, "episodes": total.episodes}
            means = {key: value for key, value in total.metrics.items() if value is not None}
            self._tracker.finish({"status": self._run.status, **ended, **means})

    def _values(self, episode: Episode) -> dict[str, float]:
        done = self._done.values()
        own = [each for each in done if each.suite == episode.suite]
        values = _rate("success/all", rate_of(units_of(done).values()))
        values |= _rate(f"success/{episode.suite}", rate_of(units_of(own).values()))
        values["errors"] = sum(each.status is Status.ERROR for each in done)
        if episode.status is not Status.ERROR:
            values |= {"episode/steps": episode.steps, "episode/wall_s": episode.wall_s}
            values |= {f"episode/{key}": value for key, value in episode.metrics.items() if value is not None}
        return values


class TrackedSweep(SweepObserver):
    """Passes everything on to another observer, and each run to a tracker, one after another."""

    def __init__(self, observer: SweepObserver, tracker: Tracker):
        self._observer, self._tracker = observer, tracker

    def begin(self, message: str, total: int) -> None:
        self._observer.begin(message, total)

    def of_run(self, name: str) -> Observer:
        return TrackedRun(self._observer.of_run(name), self._tracker, name)

    def end(self) -> None:
        self._observer.end()


def tracked_name(run: Run, name: str | None = None) -> str:
    """The same whenever the run goes on, another for a run of the same configuration in another folder."""
    about = name or run.run_id
    return f"{about[:80]}-{hashlib.sha256(f'{run.run_id} {run.created}'.encode()).hexdigest()[:8]}"


def _rate(name: str, rate: Rate) -> dict[str, float]:
    """With its interval; fractions."""
    bounds: Mapping[str, float | None] = {name: rate.rate, f"{name}_low": rate.low, f"{name}_high": rate.high}
    return {key: value for key, value in bounds.items() if value is not None} | {f"{name}_n": rate.n}
