"""Results of a run: counts and intervals, always recomputed from the episodes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vla_bench.metrics import of_group
from vla_bench.records import Episode, Status
from vla_bench.results.units import rate_of, units_of
from vla_bench.stats import Rate


@dataclass(frozen=True)
class Group:
    """Episodes that are counted together.

    rate: of init states, their repeats averaged (`vla_bench.results.units`).  Errors are missing episodes, not failures:
        `rate.n` leaves out init states without any other.
    """

    episodes: int
    errors: int
    rate: Rate
    steps_mean: float | None  # of the successes
    metrics: dict[str, float | None]  # over all queries, by key as in `vla_bench.metrics`

    def to_dict(self) -> dict[str, object]:
        rate = self.rate
        return {
            "episodes": self.episodes,
            "successes": rate.successes,
            "failures": rate.n - rate.successes,
            "errors": self.errors,
            "rate": rate.rate,
            "interval": None if rate.rate is None else [rate.low, rate.high],
            "steps_mean": self.steps_mean,
            **self.metrics,
        }


@dataclass(frozen=True)
class Summary:
    """All episodes together, by suite, and by task (suite, task id)."""

    total: Group
    suites: dict[str, Group]
    tasks: dict[tuple[str, int], Group]

    def to_dict(self) -> dict[str, object]:
        suites = {
            name: {**group.to_dict(), "tasks": {str(t): g.to_dict() for (s, t), g in self.tasks.items() if s == name}}
            for name, group in self.suites.items()
        }
        return {**self.total.to_dict(), "suites": suites}


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def group(episodes: list[Episode]) -> Group:
    """Counts, rate and metrics of these episodes together."""
    done = [e for e in episodes if e.status is not Status.ERROR]
    won = [e for e in done if e.status is Status.SUCCESS]
    return Group(
        episodes=len(episodes),
        errors=len(episodes) - len(done),
        rate=rate_of(units_of(episodes).values()),
        steps_mean=_mean([e.steps for e in won]),
        metrics=of_group((e.queries, e.metrics) for e in done),
    )


def summarise(episodes: Iterable[Episode]) -> Summary:
    """The results of a run from its episodes."""
    by_suite: dict[str, list[Episode]] = {}
    by_task: dict[tuple[str, int], list[Episode]] = {}
    everything = sorted(episodes, key=lambda e: e.key)
    for episode in everything:
        by_suite.setdefault(episode.suite, []).append(episode)
        by_task.setdefault((episode.suite, episode.task_id), []).append(episode)
    return Summary(group(everything), {k: group(v) for k, v in by_suite.items()}, {k: group(v) for k, v in by_task.items()})
