"""How long an episode takes on this machine, from the runs that are recorded here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from vla_bench.environment import describe
from vla_bench.errors import RecordError
from vla_bench.records import EpisodeKey, Run, Status, read_episodes, read_run

MACHINE = ("cpu", "cores", "gpu")  # of a run's environment: equal ones are one kind of machine


@dataclass
class Recorded:
    """Episodes of runs that are alike: seconds each took, by suite and its horizon in control steps."""

    what: str
    seconds: dict[tuple[str, int], list[float]] = field(default_factory=dict)

    @property
    def episodes(self) -> int:
        return sum(map(len, self.seconds.values()))

    def of(self, suite: str, horizon: int) -> float | None:
        """Mean seconds of an episode; where the suite was not run, that of the others by control step.  None without any."""
        if (suite, horizon) in self.seconds:
            return fmean(self.seconds[suite, horizon])
        steps = [each / length for (_, length), own in self.seconds.items() for each in own]
        return horizon * fmean(steps) if steps else None


@dataclass(frozen=True)
class Estimate:
    """seconds: of all episodes, with all workers busy.  source: the runs that say so."""

    seconds: float
    source: str


def estimate(
    runs: Path,
    *,
    model: str,
    pruner: str | None,
    assets: str,
    scripted: bool,
    episodes: Sequence[EpisodeKey],
    horizons: Mapping[str, int],
    workers: int,
) -> Estimate | None:
    """Time that these episodes will take, by the run folders in `runs` of this kind of machine; None where they do not say.

    The runs most like it count: of the same model and pruner, else of the same model, else of any model or any script.
    pruner: as asked for, None for the checkpoint's own.
    """
    alike = [
        Recorded(model if scripted else f"{model} with {pruner or 'its own pruner'}"),
        Recorded(f"{model} with another pruner"),
        Recorded("other scripts" if scripted else "other models"),
    ]
    here = describe()
    for folder in sorted(runs.glob("*/")):
        try:
            run = read_run(folder)
            if run is None or run.assets.get("name") != assets or any(run.environment.get(n) != here[n] for n in MACHINE):
                continue
            level = _level(run, model, pruner, scripted)
            ended = [episode for episode in read_episodes(folder) if episode.status is not Status.ERROR] if level < 3 else []
        except RecordError:
            continue  # a run that cannot be read says nothing about time; the commands that need it refuse it
        for episode in ended:
            horizon = run.suites.get(episode.suite, {}).get("horizon")
            if isinstance(horizon, int) and horizon > 0:
                alike[level].seconds.setdefault((episode.suite, horizon), []).append(episode.wall_s)
    for recorded in alike:
        each = [recorded.of(key.suite, horizons[key.suite]) for key in episodes]
        if recorded.episodes and None not in each:
            return Estimate(sum(each) / workers, f"{recorded.episodes} episodes of {recorded.what} in {runs}")
    return None


def _level(run: Run, model: str, pruner: str | None, scripted: bool) -> int:
    """Place in the list of what is alike; 3 for what is not."""
    if run.config["model"] == model:
        return 0 if run.config.get("pruner") == pruner else 1
    return 2 if scripted == (not run.config.get("policy", {}).get("checkpoint")) else 3
