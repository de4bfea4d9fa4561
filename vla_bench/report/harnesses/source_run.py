"""The run that is written for another harness, and what no harness's format has a field for."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from vla_bench import __version__
from vla_bench.errors import NotComparableError, RecordError
from vla_bench.records import Episode, EpisodeKey, Run, Status
from vla_bench.results.merge import listed, merge
from vla_bench.results.recorded_command import without_folders
from vla_bench.results.resume import resume_command
from vla_bench.results.sources import source
from vla_bench.results.stopped import refuse_stopped
from vla_bench.results.summary import Group, summarise


@dataclass(frozen=True)
class SourceRun:
    """A run with its episodes, in the order of suites and keys.

    films: of episodes that have one.
    timed: whether times are known; a summary has none.
    """

    run: Run
    episodes: tuple[Episode, ...]
    films: dict[EpisodeKey, Path]
    timed: bool

    @cached_property
    def ended(self) -> tuple[Episode, ...]:
        """The episodes with an outcome: those that did not end in an error."""
        return tuple(each for each in self.episodes if each.status is not Status.ERROR)

    @property
    def complete(self) -> bool:
        return self.run.status == "complete"

    def of_suite(self, suite: str) -> SourceRun:
        """The part of one suite; `suite` is its short name."""
        return SourceRun(self.run, tuple(each for each in self.episodes if each.suite == suite), self.films, self.timed)

    def libero_name(self, suite: str) -> str:
        """As libero_10 for long; the suite's own name where the run does not say."""
        return str(self.run.suites.get(suite, {}).get("libero_name", suite))

    @property
    def suites(self) -> list[str]:
        return list(dict.fromkeys(each.suite for each in self.episodes))

    def about(self) -> dict[str, object]:
        """What the formats have no field for: rates with their intervals, the model, the protocol, what errors there were."""
        run, found = self.run, summarise(self.episodes)
        return {
            "vla_bench": __version__,
            "run_id": run.run_id,
            "status": run.status,
            "created": run.created,
            "command": without_folders(run.command),
            "git_commit": run.git_commit,
            "model": run.model,
            "pruner": run.pruner,
            "config": run.config,
            "config_hash": run.config_hash,
            "suites": {name: run.suites[name] for name in self.suites if name in run.suites},
            "assets": run.assets,
            "environment": run.environment,
            "rate": rate_of(found.total),
            "rates": {self.libero_name(name): rate_of(each) for name, each in found.suites.items()},
            "metrics": {key: value for key, value in found.total.metrics.items() if value is not None},
            "errors": [{"episode": str(each.key), **(each.error or {})} for each in self.episodes if each.status is Status.ERROR],
        }


def rate_of(part: Group) -> dict[str, object]:
    """The rate over init states, repeats averaged, with its 95 % interval; errors are in `errors` and in nothing else."""
    rate = part.rate
    interval = None if rate.rate is None else [rate.low, rate.high]
    about = {"rate": rate.rate, "interval": interval, "interval_kind": "Wilson, 95 %, over init states", "n": rate.n}
    return about | {"successes": rate.successes, "errors": part.errors}


def source_run(paths: Sequence[Path], partial: bool = False) -> SourceRun:
    """A run folder, the parts of one run, or a summary file.

    partial: take a run that lacks planned episodes.
    Raises RecordError, DamagedRunError; NotComparableError for parts of different runs, for a run that was stopped early because
    of its outcomes, and without `partial` for one that lacks episodes.
    """
    folders = [path for path in paths if path.is_dir()]
    run, episodes = merge(paths) if folders or len(paths) > 1 else source(paths[0]).read()
    refuse_stopped(paths[0], asdict(run))
    if not partial:
        _refuse_unfinished(paths, run, episodes)
    if not episodes:
        raise RecordError(f"{paths[0]} has no finished episode", resume_command(run, paths[0]))
    films = {each.key: film for folder in folders for each in episodes if (film := source(folder).film(each)) is not None}
    return SourceRun(run, tuple(episodes), films, timed=all(each.started for each in episodes))


def wall_clock_s(episodes: Sequence[Episode]) -> float | None:
    """Seconds in which at least one of the episodes ran; None where their times are not known."""
    try:
        spans = sorted((datetime.fromisoformat(each.started), datetime.fromisoformat(each.ended)) for each in episodes)
    except (ValueError, TypeError):  # no times, or some with and some without a time zone
        return None
    total, until = 0.0, None
    for began, ended in spans:
        begins = began if until is None else max(began, until)
        total += max(0.0, (ended - begins).total_seconds())
        until = ended if until is None else max(until, ended)
    return total if spans else None


def outcomes(episodes: Sequence[Episode]) -> list[bool]:
    return [each.status is Status.SUCCESS for each in episodes]


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _refuse_unfinished(paths: Sequence[Path], run: Run, episodes: Sequence[Episode]) -> None:
    missing = [key for key in run.whole_keys or () if key not in {each.key for each in episodes}]
    if not missing and run.status == "complete":
        return
    what = f"lacks {len(missing)} planned episodes: {listed(missing)}" if missing else f"is not complete: {run.status}"
    fix = f"{resume_command(run, paths[0])}, which runs the rest" if len(paths) == 1 and paths[0].is_dir() else "all of its parts"
    raise NotComparableError(
        f"{shlex.join(map(str, paths))} {what}", f"{fix}; or vla-bench export --partial, which marks the file"
    )
