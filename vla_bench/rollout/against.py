"""`vla-bench eval --against BASE`: the baseline of a run, checked before the run's first episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vla_bench.errors import NotComparableError, UsageError
from vla_bench.planned import pack
from vla_bench.records import EpisodeKey
from vla_bench.results.early_stop import EarlyStop, outcomes
from vla_bench.results.gate import check_whole
from vla_bench.results.same_world import check_same_world
from vla_bench.results.summary_file import read_summary


@dataclass(frozen=True)
class StopOptions:
    """Of `--stop-early`.  alpha: chance of a wrong verdict of either kind.  must_see: drop that a pass excludes, a fraction."""

    alpha: float = 0.05
    must_see: float = 0.05


def stop_options(stop_early: bool, alpha: float | None, must_see: float | None) -> StopOptions | None:
    """Of the command line.  must_see: in percentage points.  Raises UsageError for options that would change nothing."""
    if stop_early:
        default = StopOptions()
        return StopOptions(default.alpha if alpha is None else alpha, default.must_see if must_see is None else must_see / 100)
    for option, value in (("--alpha", alpha), ("--must-see", must_see)):
        if value is not None:
            raise UsageError(f"{option} {value:g} belongs to --stop-early", "vla-bench eval --against BASE --stop-early ...")
    return None


@dataclass(frozen=True)
class Baseline:
    """A complete run with all of the requested episodes."""

    path: Path
    summary: dict

    def check_world(self, config: dict, episodes: Sequence[EpisodeKey], out: Path) -> None:
        """Raises NotComparableError where a run with this configuration would be in another simulator world."""
        tasks = {f"{key.suite}/{key.task_id}": {"init_states": []} for key in episodes}
        check_same_world(self.path, self.summary, out, {"config": config, "tasks": tasks})

    def early_stop(self, episodes: Sequence[EpisodeKey], options: StopOptions) -> EarlyStop:
        """Raises UsageError."""
        won = {key: each for key, each in outcomes(self.summary).items() if each is not None}
        return EarlyStop.of(episodes, won, path=str(self.path), alpha=options.alpha, must_see=options.must_see)


def read_baseline(path: Path, episodes: Sequence[EpisodeKey]) -> Baseline:
    """Raises RecordError, and NotComparableError for a run that is not complete or lacks requested episodes."""
    summary = read_summary(path)
    check_whole(path, summary)
    here = outcomes(summary)
    if missing := [key for key in episodes if key not in here]:
        have = "; ".join(f"{task}: {states}" for task, states in pack(sorted(here)).items())
        raise NotComparableError(
            f"{path} lacks {len(missing)} of the {len(episodes)} episodes, the first is {missing[0]}; it has {have}",
            "vla-bench eval with --suite, --tasks and --init-states of the baseline",
        )
    return Baseline(path, summary)


def check_stop_options(
    against: Path | None, stop_early: StopOptions | None, shard: str | None, episodes: Sequence[EpisodeKey]
) -> None:
    """Raises UsageError for a request that cannot be stopped early."""
    if stop_early is None:
        return
    if against is None:
        raise UsageError("--stop-early pairs each episode with a baseline's", "vla-bench eval --against BASE --stop-early ...")
    if shard is not None:
        raise UsageError("--stop-early needs all episodes in one place: a shard sees only its own", "leave --shard out")
    if any(key.repeat for key in episodes):
        raise UsageError("--stop-early takes each init state once, without repeats", "vla-bench eval --trials 50 ...")
