"""Comparison of runs: each is paired with the first on the same init states."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path

from vla_bench.errors import ErrorBudgetError, NotComparableError, UsageError
from vla_bench.metrics import Values, group_values
from vla_bench.results.summary_file import read_summary
from vla_bench.stats import Difference, Rate, holm, mcnemar, paired_difference, wilson

LEVEL = 0.05  # of the family of tests
COVERAGE = 0.98  # least share of common episodes without an error for a verdict
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
    """Counts of episodes in both runs.  lost: only the first succeeded; gained: only the other; an error is a missing pair."""

    both: int
    lost: int
    gained: int
    neither: int
    errors: int

    @property
    def count(self) -> int:
        """Pairs without an error."""
        return self.both + self.lost + self.gained + self.neither

    @property
    def covered(self) -> bool:
        """Whether there are few enough errors for a verdict."""
        return self.count >= COVERAGE * (self.count + self.errors)

    @property
    def p(self) -> float:
        """Two-sided p of McNemar's exact test."""
        return mcnemar(self.lost, self.gained)

    @property
    def difference(self) -> Difference:
        return paired_difference(self.both, self.lost, self.gained, self.neither)

    def verdict(self, adjusted: float) -> Verdict:
        if not self.covered:
            return Verdict.ERRORS
        if adjusted >= LEVEL:
            return Verdict.OPEN
        return Verdict.LOWER if self.lost > self.gained else Verdict.HIGHER


@dataclass(frozen=True)
class ComparedRun:
    """One run; the fields from `pairs` on are None for the first run.

    metrics: over all its queries, by key as in `vla_bench.metrics`.
    p: of McNemar's exact test, two-sided, after Holm's correction for the number of rows.
    """

    name: str
    rate: Rate
    suites: dict[str, Rate]
    metrics: Values
    pairs: Pairs | None = None
    difference: Difference | None = None
    p: float | None = None
    verdict: Verdict | None = None

    def to_dict(self) -> dict[str, object]:
        table = asdict(self)
        return table | table.pop("metrics")


def compare(paths: list[Path]) -> list[ComparedRun]:
    """One row a run folder or summary, in their order.  Raises NotComparableError where two runs had another simulator world."""
    if len(paths) < 2:
        raise UsageError("a comparison takes two runs or more", "vla-bench compare RUN OTHER_RUN")
    runs = [read_summary(path) for path in paths]
    first, others = outcomes(runs[0]), []
    for path, run in zip(paths[1:], runs[1:], strict=True):
        check_same_world(paths[0], runs[0], path, run)
        others.append(pair(first, outcomes(run)))
        check_common(paths[0], path, others[-1])
    rows = [row(path, run) for path, run in zip(paths, runs, strict=True)]
    adjusted = holm([pairs.p for pairs in others])
    compared = [
        replace(each, pairs=pairs, difference=pairs.difference, p=p, verdict=pairs.verdict(p))
        for each, pairs, p in zip(rows[1:], others, adjusted, strict=True)
    ]
    return [rows[0], *compared]


def row(path: Path, run: dict) -> ComparedRun:
    totals = run["totals"]
    suites = {name: rate(totals["suites"][name]) for name in run["suites"] if name in totals["suites"]}
    return ComparedRun(path.name.removesuffix(".json"), rate(totals), suites, group_values(totals))


def rate(group: dict) -> Rate:
    return wilson(group["successes"], group["successes"] + group["failures"])


Key = tuple[str, int, int]  # task, init state, repeat


def outcomes(run: dict) -> dict[Key, str]:
    """Outcome of every episode: s (success), f (failure) or e (error)."""
    return {
        (name, init, repeat): outcome
        for name, task in run["tasks"].items()
        for init, repeat, outcome in zip(task["init_states"], task["repeats"], task["outcomes"], strict=True)
    }


def pair(first: dict[Key, str], other: dict[Key, str]) -> Pairs:
    both = [first[key] + other[key] for key in first.keys() & other.keys()]
    return Pairs(both.count("ss"), both.count("sf"), both.count("fs"), both.count("ff"), sum("e" in pair for pair in both))


def check_common(path: Path, other_path: Path, pairs: Pairs) -> None:
    """Raises NotComparableError without a common episode, ErrorBudgetError where all of them ended in errors."""
    if not pairs.count + pairs.errors:
        raise NotComparableError(
            f"{path} and {other_path} have no episode in common", "vla-bench eval with the same --init-states"
        )
    if not pairs.count:
        raise ErrorBudgetError(f"{pairs.errors} of {pairs.errors} episodes of {path} and {other_path} ended in errors", RERUN)


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
