"""A comparison suite by suite, or task by task: which of them gained, and which lost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from vla_bench.errors import UsageError
from vla_bench.results.comparison import run_names
from vla_bench.results.evidence import LEVEL, Evidence, Verdict, evidence
from vla_bench.results.pairs import Pairs
from vla_bench.results.units import Key, Unit, units
from vla_bench.stats import Difference, Rate, holm
from vla_bench.values import By, Population

Part = tuple[str, int | None]  # a suite, or a task of it


@dataclass(frozen=True)
class ComparedPart:
    """One suite or task of a run, on its pairs with the first run.

    task_id, task: of a task; None for a suite.  tasks: number of those with pairs.
    base, rate: success rates of the first run and of this one.
    difference: of these tasks and init states; None where no pair ended without an error.  over_tasks: of tasks of their kind;
    None for a single task.  p: two-sided, after Holm's correction for all parts together.  verdict: by p, of `population`.
    family: number of all parts; both intervals hold for all of them together at 95 %.
    """

    run: str
    suite: str
    task_id: int | None
    task: str | None
    tasks: int
    base: Rate
    rate: Rate
    pairs: Pairs
    difference: Difference | None
    over_tasks: Difference | None
    p: float
    verdict: Verdict
    population: Population
    family: int

    def to_dict(self) -> dict[str, object]:
        return asdict(self) | {"population": self.population.words, "interval_level": 1 - LEVEL / self.family}


def compare_parts(runs: list[tuple[Path, dict]], by: By, population: Population = Population.INIT_STATES) -> list[ComparedPart]:
    """Of each run after the first the suites or tasks that both have.

    runs: paths, with their summaries from `vla_bench.results.comparison.read_comparable`.
    Raises UsageError for single tasks that should stand for tasks of their kind.
    """
    if by is By.TASK and population is Population.TASKS:
        raise UsageError(
            "a single task says nothing about tasks of its kind", "vla-bench compare --by suite --population tasks RUN OTHER_RUN"
        )
    first = split_by(by, units(runs[0][1]), list(runs[0][1]["suites"]))
    names = run_names([path for path, _ in runs])
    others = [(name, run, units(run)) for name, (_, run) in zip(names[1:], runs[1:], strict=True)]
    found = [
        (run, name, *part, evidence(own, other))
        for name, run, other in others
        for part, own in first.items()
        if own.keys() & other.keys()
    ]
    adjusted = holm([each.p(population) for *_, each in found])
    return [_part(*one, p, population, len(found)) for one, p in zip(found, adjusted, strict=True)]


def split_by(by: By, found: dict[Key, Unit], order: list[str]) -> dict[Part, dict[Key, Unit]]:
    """A run's init states by suite or task.  order: of the suites."""
    place = {suite: i for i, suite in enumerate(order)}
    parts: dict[Part, dict[Key, Unit]] = {}
    for key in sorted(found, key=lambda key: (place.get(key.suite, len(place)), key)):
        parts.setdefault(key.task if by is By.TASK else (key.suite, None), {})[key] = found[key]
    return parts


def _part(
    summary: dict, run: str, suite: str, task_id: int | None, found: Evidence, p: float, population: Population, family: int
) -> ComparedPart:
    known = found.pairs.count > 0
    base, rate = found.pairs.rates
    return ComparedPart(
        run=run,
        suite=suite,
        task_id=task_id,
        task=None if task_id is None else summary["tasks"][f"{suite}/{task_id}"]["task"],
        tasks=len(found.tasks),
        base=base,
        rate=rate,
        pairs=found.pairs,
        difference=found.difference(LEVEL / family) if known else None,
        over_tasks=found.over_tasks(LEVEL / family) if known else None,
        p=p,
        verdict=found.verdict(p, population),
        population=population,
        family=family,
    )
