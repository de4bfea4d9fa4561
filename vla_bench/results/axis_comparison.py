"""Does one run lose more than another under a change?  The difference of their differences, axis by axis."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from vla_bench.differences import difference_of_differences, p_of_intervals
from vla_bench.errors import UsageError
from vla_bench.results.axes import AxisDrop, Change, Found, axis_drops, changed_suites, changes, drop_of
from vla_bench.results.comparison import run_names
from vla_bench.results.evidence import LEVEL, Evidence, Verdict, evidence
from vla_bench.results.same_world import init_hashes
from vla_bench.results.units import Unit, units
from vla_bench.stats import Difference, holm
from vla_bench.task_stats import LEAST_TASKS, task_drop, task_interval
from vla_bench.values import Population

BOTH = "vla-bench eval --suite spatial,pro-spatial"


@dataclass(frozen=True)
class AxisComparison:
    """One run compared with the first on one axis, over the tasks that both have on changed suites and on their originals.

    n: pairs of init states on the changed suites.  base, other: the drops of the first run and of this one, on their pairs.
    there, here: this run less the first on the originals and on the changed suites, paired by init state.
    more: `here` less `there`, below 0 where this run loses more by the change; over_tasks: of tasks of their kind.
    p: two-sided, that `more` is 0, after Holm's correction for the `family` of tests.  verdict: by p, of `population`.
    All intervals but those of the drops hold together for the family at 95 %.
    """

    run: str
    axis: str
    tasks: int
    n: int
    base: AxisDrop
    other: AxisDrop
    there: Difference
    here: Difference
    more: Difference
    over_tasks: Difference | None
    p: float
    verdict: Verdict
    population: Population
    family: int

    @property
    def decided(self) -> Difference | None:
        """The difference that the verdict speaks of."""
        return self.more if self.population is Population.INIT_STATES else self.over_tasks

    def to_dict(self) -> dict[str, object]:
        return asdict(self) | {"population": self.population.words, "interval_level": 1 - LEVEL / self.family}


@dataclass(frozen=True)
class _Evidence:
    """there, here: the pairs of both runs on the originals and on the changed suites.  tasks: `more` of each task."""

    run: str
    base: AxisDrop
    other: AxisDrop
    there: Evidence
    here: Evidence
    tasks: tuple[float, ...]

    def more(self, alpha: float) -> Difference:
        return difference_of_differences(self.there.difference(alpha), self.here.difference(alpha))

    def over_tasks(self, alpha: float) -> Difference | None:
        """Never narrower than on these tasks and init states, as in `vla_bench.results.evidence`."""
        over, own = task_interval(self.tasks, 1 - alpha), self.more(alpha)
        return over and Difference(over.value, min(over.low, own.low), max(over.high, own.high))

    def p(self, population: Population) -> float:
        own = p_of_intervals(self.more)
        if population is Population.INIT_STATES:
            return own
        if len(self.tasks) < LEAST_TASKS:
            return 1.0
        return max(own, min(1.0, 2 * min(task_drop(self.tasks), task_drop([-each for each in self.tasks]))))

    def verdict(self, p: float, population: Population) -> Verdict:
        if not (self.there.pairs.covered and self.here.pairs.covered):
            return Verdict.ERRORS
        if p >= LEVEL:
            return Verdict.OPEN
        value = self.more(LEVEL).value if population is Population.INIT_STATES else fmean(self.tasks)
        return Verdict.LOWER if value < 0 else Verdict.HIGHER


def compare_axes(
    runs: list[tuple[Path, dict]], population: Population = Population.INIT_STATES
) -> tuple[list[AxisDrop], list[AxisComparison]]:
    """The drops of every run, and each run's comparison with the first on every axis that both have.

    runs: paths, with their summaries from `vla_bench.results.comparison.read_comparable`.
    Raises UsageError where no run has a changed suite and its original in common with the first.
    """
    named = [(name, run, units(run)) for name, (_, run) in zip(run_names([path for path, _ in runs]), runs, strict=True)]
    drops = [drop for name, run, found in named for drop in axis_drops(name, run, found)]
    first, *others = named
    tested = [each for other in others for each in _tested(first, other)]
    if not tested:
        raise UsageError("no run has a changed suite and its original in common with the first one", BOTH)
    family = len(tested)
    adjusted = holm([each.p(population) for each in tested])
    return drops, [_comparison(each, p, population, family) for each, p in zip(tested, adjusted, strict=True)]


def _tested(first: tuple[str, dict, Found], other: tuple[str, dict, Found]) -> list[_Evidence]:
    (base_name, base_run, base), (name, run, found) = first, other
    about = {suite: change for suite, change in changed_suites(run).items() if changed_suites(base_run).get(suite) == change}
    common = base.keys() & found.keys()
    whole = [{key: own[key] for key in own if key in common} for own in (base, found)]
    ended = {key for key in common if None not in (base[key].mean, found[key].mean)}
    paired = [{key: own[key] for key in own if key in ended} for own in (base, found)]
    tested = []
    for change in changes(about, paired) if ended else []:
        drops = [
            drop_of(each, change, own, init_hashes(summary))
            for each, own, summary in zip((base_name, name), paired, (base_run, run), strict=True)
        ]
        there = evidence(*(change.originals(own) for own in whole))
        here = evidence(*(change.changed(own) for own in whole))
        tested.append(_Evidence(name, *drops, there, here, _by_task(change, *paired)))
    return tested


def _by_task(change: Change, base: Found, found: Found) -> tuple[float, ...]:
    def mean(task: tuple[str, int]) -> float:
        return fmean(_gap(base[key], found[key]) for key in base if key.task == task)

    return tuple(mean(changed) - mean(original) for changed, original in change.tasks)


def _gap(first: Unit, second: Unit) -> float:
    assert first.mean is not None and second.mean is not None  # pairs that ended
    return second.mean - first.mean


def _comparison(found: _Evidence, p: float, population: Population, family: int) -> AxisComparison:
    alpha = LEVEL / family
    return AxisComparison(
        run=found.run,
        axis=found.base.axis,
        tasks=len(found.tasks),
        n=found.here.pairs.count,
        base=found.base,
        other=found.other,
        there=found.there.difference(alpha),
        here=found.here.difference(alpha),
        more=found.more(alpha),
        over_tasks=found.over_tasks(alpha),
        p=p,
        verdict=found.verdict(p, population),
        population=population,
        family=family,
    )
