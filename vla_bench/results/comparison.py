"""Comparison of runs: each is paired with the first on the same init states, whose repeats are averaged."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from statistics import fmean

from vla_bench.errors import ErrorBudgetError, NotComparableError, UsageError
from vla_bench.metrics import Values, group_values
from vla_bench.results.summary_file import read_summary
from vla_bench.results.units import Key, Unit, rate_of, units
from vla_bench.stats import (
    Z95,
    Difference,
    Rate,
    holm,
    mcnemar,
    paired_difference,
    share_difference,
    share_rate,
    sign_flip,
    sign_flip_drop,
    task_interval,
)

LEVEL = 0.05  # of the family of tests
COVERAGE = 0.98  # least share of common episodes without an error for a verdict
POPULATION = "these tasks and init states"  # that rates, differences, p values and verdicts speak of
RERUN = "vla-bench eval with the same --out: episodes that ended in errors are run again"
# What decides an episode's outcome besides the policy: runs that differ here have no episode in common.
WORLD = ("assets", "gl_backend", "drawn_by", "packages.mujoco", "packages.robosuite", "packages.hf-libero")


class Verdict(str, Enum):
    """What the pairs establish about a run compared with the first."""

    LOWER = "lower"
    HIGHER = "higher"
    OPEN = "not separated"
    ERRORS = "too many errors"


@dataclass(frozen=True)
class Pairs:
    """Counts of init states in both runs.  lost: only the first succeeded; gained: only the other; an error is a missing pair.

    split: pairs where repeats of either ended differently; they are in none of the counts.
    """

    both: int
    lost: int
    gained: int
    neither: int
    errors: int
    split: tuple[tuple[Unit, Unit], ...] = ()

    @property
    def count(self) -> int:
        """Pairs without an error."""
        return self.both + self.lost + self.gained + self.neither + len(self.split)

    @property
    def fell(self) -> int:
        """Pairs whose share of successes is lower in the other run."""
        return self.lost + sum(there.mean < here.mean for here, there in self.split)

    @property
    def rose(self) -> int:
        """Pairs whose share of successes is higher in the other run."""
        return self.gained + sum(there.mean > here.mean for here, there in self.split)

    @property
    def rates(self) -> tuple[Rate, Rate]:
        """Success rates of both runs on these pairs, with Wilson intervals."""
        first, second = self._shares()
        return share_rate(first, self._draws()[0]), share_rate(second, self._draws()[1])

    @property
    def covered(self) -> bool:
        """Whether there are few enough errors for a verdict."""
        return self.count >= COVERAGE * (self.count + self.errors)

    @property
    def p(self) -> float:
        """Two-sided exact p: McNemar's test, with repeats that ended differently the sign-flip test."""
        return mcnemar(self.lost, self.gained) if not self.split else sign_flip(self._differences())

    @property
    def p_drop(self) -> float:
        """One-sided exact p that the other run is worse."""
        return sign_flip_drop(self._differences())

    @property
    def gained_spread(self) -> float:
        """The gains' share of the differences' spread, as `smallest_drop` takes it."""
        return self.gained + sum(max(there.mean - here.mean, 0) ** 2 for here, there in self.split)

    @property
    def difference(self) -> Difference:
        """With its 95 % interval.  Raises ValueError without a pair."""
        return self.difference_within(Z95)

    def difference_within(self, z: float) -> Difference:
        """With the interval of this many standard deviations of a normal distribution."""
        if not self.split:
            return paired_difference(self.both, self.lost, self.gained, self.neither, z)
        return share_difference(*self._shares(), self._draws(), z)

    def verdict(self, adjusted: float) -> Verdict:
        """By the adjusted p, in the direction of the difference."""
        if not self.covered:
            return Verdict.ERRORS
        if adjusted >= LEVEL:
            return Verdict.OPEN
        return Verdict.LOWER if self.difference.value < 0 else Verdict.HIGHER

    def _shares(self) -> tuple[list[float], list[float]]:
        counts = ((self.both, 1, 1), (self.lost, 1, 0), (self.gained, 0, 1), (self.neither, 0, 0))
        first = [float(here) for count, here, _ in counts for _ in range(count)]
        second = [float(there) for count, _, there in counts for _ in range(count)]
        return first + [here.mean for here, _ in self.split], second + [there.mean for _, there in self.split]

    def _differences(self) -> list[float]:
        return [-1.0] * self.lost + [1.0] * self.gained + [there.mean - here.mean for here, there in self.split]

    def _draws(self) -> tuple[int, int]:
        rest = self.count - len(self.split)
        return rest + sum(here.repeats for here, _ in self.split), rest + sum(there.repeats for _, there in self.split)


@dataclass(frozen=True)
class ComparedRun:
    """One run; the fields from `pairs` on are None for the first run.

    metrics: over all its queries, by key as in `vla_bench.metrics`.
    difference: of these tasks and init states.  over_tasks: of tasks of their kind; None for a single task.
    p: exact, two-sided, after Holm's correction for the number of rows.
    """

    name: str
    rate: Rate
    suites: dict[str, Rate]
    metrics: Values
    pairs: Pairs | None = None
    difference: Difference | None = None
    over_tasks: Difference | None = None
    p: float | None = None
    verdict: Verdict | None = None

    def to_dict(self) -> dict[str, object]:
        table = asdict(self)
        return table | table.pop("metrics") | {"population": POPULATION}


def compare(paths: list[Path]) -> list[ComparedRun]:
    """One row a run folder or summary, in their order.  Raises NotComparableError where two runs had another simulator world."""
    return compare_runs([(path, run) for path, run in zip(paths, read_comparable(paths), strict=True)])


def read_comparable(paths: list[Path]) -> list[dict]:
    """The summaries of runs of one world with init states in common.  Raises UsageError, NotComparableError, ErrorBudgetError."""
    if len(paths) < 2:
        raise UsageError("a comparison takes two runs or more", "vla-bench compare RUN OTHER_RUN")
    runs = [read_summary(path) for path in paths]
    for path, run in zip(paths[1:], runs[1:], strict=True):
        check_same_world(paths[0], runs[0], path, run)
        check_common(paths[0], path, pair(units(runs[0]), units(run)))
    return runs


def compare_runs(runs: list[tuple[Path, dict]]) -> list[ComparedRun]:
    """One row a summary of `read_comparable`, with its path."""
    measured = [units(run) for _, run in runs]
    others = [pair(measured[0], other) for other in measured[1:]]
    rows = [row(path, run, found) for (path, run), found in zip(runs, measured, strict=True)]
    adjusted = holm([pairs.p for pairs in others])
    compared = []
    for each, other, pairs, p in zip(rows[1:], measured[1:], others, adjusted, strict=True):
        tasks = over_tasks(measured[0], other)
        compared.append(replace(each, pairs=pairs, difference=pairs.difference, over_tasks=tasks, p=p, verdict=pairs.verdict(p)))
    return [rows[0], *compared]


def row(path: Path, run: dict, found: dict[Key, Unit]) -> ComparedRun:
    by_suite = {name: [each for key, each in found.items() if key.suite == name] for name in run["suites"]}
    suites = {name: rate_of(of_suite) for name, of_suite in by_suite.items() if of_suite}
    return ComparedRun(run_name(path), rate_of(found.values()), suites, group_values(run["totals"]))


def run_name(path: Path) -> str:
    """A run's name in tables."""
    return path.name.removesuffix(".json")


def pair(first: dict[Key, Unit], other: dict[Key, Unit]) -> Pairs:
    """The init states that both runs have."""
    pairs = [(first[key], other[key]) for key in first if key in other]
    ended = [(here, there) for here, there in pairs if here.mean is not None and there.mean is not None]
    means = [(here.mean, there.mean) for here, there in ended]
    counts = [means.count(outcomes) for outcomes in ((1, 1), (1, 0), (0, 1), (0, 0))]
    split = tuple(pair for pair, both in zip(ended, means, strict=True) if not {*both} <= {0, 1})
    return Pairs(*counts, len(pairs) - len(ended), split)


def over_tasks(first: dict[Key, Unit], other: dict[Key, Unit]) -> Difference | None:
    """Mean over tasks of their mean difference, with Student's t interval at 95 %; None for a single task."""
    tasks: dict[tuple[str, int], list[float]] = {}
    for key, here in first.items():
        if key in other and here.mean is not None and (there := other[key].mean) is not None:
            tasks.setdefault(key.task, []).append(there - here.mean)
    return task_interval([fmean(differences) for differences in tasks.values()])


def check_common(path: Path, other_path: Path, pairs: Pairs) -> None:
    """Raises NotComparableError without a common episode, ErrorBudgetError where all of them ended in errors."""
    if not pairs.count + pairs.errors:
        raise NotComparableError(
            f"{path} and {other_path} have no episode in common", "vla-bench eval with the same --init-states"
        )
    if not pairs.count:
        raise ErrorBudgetError(f"all {pairs.errors} init states of {path} and {other_path} ended in errors", RERUN)


def check_same_world(path: Path, run: dict, other_path: Path, other: dict) -> None:
    """Raises NotComparableError, which lists every difference."""
    here, there = world(run["config"]), world(other["config"])
    changed = [f"  {key}: {here[key]} there, {there[key]} here" for key in here.keys() & there.keys() if here[key] != there[key]]
    if changed:
        lines = "\n".join([f"{other_path} ran in another world than {path}:", *sorted(changed)])
        raise NotComparableError(lines, "vla-bench eval with the same --assets, on the same kind of machine")


def world(config: dict) -> dict[str, str]:
    """The values of `WORLD` in a configuration, and the hash of every suite's protocol."""
    values = {f"suites.{name}": sha256 for name, sha256 in config["suites"].items()}
    for name in WORLD:
        value: object = config
        for part in name.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            values[name] = str(value)
    return values
