"""Comparison of runs: each is paired with the first on the same init states, whose repeats are averaged."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vla_bench.errors import ErrorBudgetError, NotComparableError, UsageError
from vla_bench.metrics import Values
from vla_bench.results.evidence import LEVEL, Verdict, evidence
from vla_bench.results.paired_metrics import metrics_on
from vla_bench.results.pairs import Pairs, pair
from vla_bench.results.same_world import check_same_world
from vla_bench.results.stopped import refuse_stopped
from vla_bench.results.summary_file import read_summary
from vla_bench.results.units import Key, Unit, planned_units, rate_of, units
from vla_bench.stats import Difference, Rate, holm
from vla_bench.values import Population

RERUN = "vla-bench eval with the same --out: episodes that ended in errors are run again"


@dataclass(frozen=True)
class ComparedRun:
    """One run on its pairs with the first; the first on its pairs with any other.  From `pairs` on None for the first.

    rate, suites, metrics: on the paired init states alone; metrics over all their queries, by key as in `vla_bench.metrics`.
    status: of the run.  ended, planned: its init states, of all; planned is None where unknown.
    base: the first run's rate on the pairs.  tasks: those with pairs.
    difference: of these tasks and init states.  over_tasks: of tasks of their kind; None for a single task.
    p: two-sided, after Holm's correction for the number of rows.  verdict: by p, of `population`.
    family: rows that are tested; both intervals hold for all of them together at 95 %.
    """

    name: str
    rate: Rate
    suites: dict[str, Rate]
    metrics: Values
    status: str
    ended: int
    planned: int | None
    population: Population
    family: int
    pairs: Pairs | None = None
    base: Rate | None = None
    tasks: int | None = None
    difference: Difference | None = None
    over_tasks: Difference | None = None
    p: float | None = None
    verdict: Verdict | None = None

    @property
    def partial(self) -> bool:
        """Whether planned init states have not ended: those that are missing may be the failures."""
        return self.status != "complete" or (self.planned is not None and self.ended < self.planned)

    def to_dict(self) -> dict[str, object]:
        table = asdict(self)
        return table | table.pop("metrics") | {"population": self.population.words, "interval_level": 1 - LEVEL / self.family}


def compare(paths: list[Path], population: Population = Population.INIT_STATES) -> list[ComparedRun]:
    """One row a run folder or summary, in their order.  Raises NotComparableError where two runs had another simulator world."""
    return compare_runs([(path, run) for path, run in zip(paths, read_comparable(paths), strict=True)], population)


def read_comparable(paths: list[Path]) -> list[dict]:
    """The summaries of runs of one world with init states in common.  Raises UsageError, NotComparableError, ErrorBudgetError."""
    if len(paths) < 2:
        raise UsageError("a comparison takes two runs or more", "vla-bench compare RUN OTHER_RUN")
    runs = [read_summary(path) for path in paths]
    check_comparable(list(zip(paths, runs, strict=True)))
    return runs


def check_comparable(runs: list[tuple[Path, dict]]) -> None:
    """Raises NotComparableError, ErrorBudgetError where a run was stopped early or cannot be paired with the first."""
    for path, run in runs:
        refuse_stopped(path, run)
    (first_path, first), *others = runs
    for path, run in others:
        check_same_world(first_path, first, path, run)
        check_common(first_path, path, pair(units(first), units(run)))


def compare_runs(runs: list[tuple[Path, dict]], population: Population = Population.INIT_STATES) -> list[ComparedRun]:
    """One row a summary of `read_comparable`, with its path."""
    measured = [units(run) for _, run in runs]
    first, others = measured[0], measured[1:]
    paired = [{key for key in first if key in other and None not in (first[key].mean, other[key].mean)} for other in others]
    ended = [set().union(*paired), *paired]
    family = len(others)
    rows = [
        row(name, run, found, keys, population, family)
        for name, (_, run), found, keys in zip(run_names([path for path, _ in runs]), runs, measured, ended, strict=True)
    ]
    found = [evidence(first, other) for other in others]
    adjusted = holm([each.p(population) for each in found])
    compared = [
        replace(
            each,
            pairs=shown.pairs,
            base=shown.pairs.rates[0],
            tasks=len(shown.tasks),
            difference=shown.difference(LEVEL / family),
            over_tasks=shown.over_tasks(LEVEL / family),
            p=p,
            verdict=shown.verdict(p, population),
        )
        for each, shown, p in zip(rows[1:], found, adjusted, strict=True)
    ]
    return [rows[0], *compared]


def row(
    name: str, run: dict, found: dict[Key, Unit], paired: Collection[Key], population: Population, family: int
) -> ComparedRun:
    """A run by itself.  found: all its init states.  paired: those that count."""
    by_suite = {suite: [found[key] for key in found if key in paired and key.suite == suite] for suite in run["suites"]}
    planned = planned_units(run.get("planned"))
    return ComparedRun(
        name=name,
        rate=rate_of(found[key] for key in found if key in paired),
        suites={suite: rate_of(own) for suite, own in by_suite.items() if own},
        metrics=metrics_on(run, paired),
        status=run["status"],
        ended=sum(unit.mean is not None for unit in found.values()),
        planned=None if planned is None else len(planned),
        population=population,
        family=family,
    )


def run_names(paths: Sequence[Path]) -> list[str]:
    """The runs' names in tables: the last part of their paths, or the whole where two are the same."""
    names = [path.name.removesuffix(".json") for path in paths]
    return [str(path) if names.count(name) > 1 else name for name, path in zip(names, paths, strict=True)]


def check_common(path: Path, other_path: Path, pairs: Pairs) -> None:
    """Raises NotComparableError without a common episode, ErrorBudgetError where all of them ended in errors."""
    if not pairs.count + pairs.errors:
        raise NotComparableError(
            f"{path} and {other_path} have no episode in common", "vla-bench eval with the same --init-states"
        )
    if not pairs.count:
        raise ErrorBudgetError(f"all {pairs.errors} init states of {path} and {other_path} ended in errors", RERUN)
