"""A comparison suite by suite, or task by task: which of them gained, and which lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vla_bench.results.comparison import POPULATION, Pairs, Verdict, pair, run_name
from vla_bench.results.units import Key, units
from vla_bench.stats import Difference, Rate, holm
from vla_bench.values import By


@dataclass(frozen=True)
class ComparedPart:
    """One suite or task of a run, on its pairs with the first run.

    task_id, task: of a task; None for a suite.  base, rate: success rates of the first run and of this one.
    difference: None where no pair ended without an error.  p: exact, two-sided, after Holm's correction for all parts together.
    """

    run: str
    suite: str
    task_id: int | None
    task: str | None
    base: Rate
    rate: Rate
    pairs: Pairs
    difference: Difference | None
    p: float
    verdict: Verdict

    def to_dict(self) -> dict[str, object]:
        return asdict(self) | {"population": POPULATION}


def compare_parts(runs: list[tuple[Path, dict]], by: By) -> list[ComparedPart]:
    """Of each run after the first the suites or tasks that both have.

    runs: paths, with their summaries from `vla_bench.results.comparison.read_comparable`.
    """
    of: Callable[[Key], tuple[str, int | None]] = (lambda key: key.task) if by is By.TASK else (lambda key: (key.suite, None))
    place = {suite: i for i, suite in enumerate(runs[0][1]["suites"])}
    first = dict(sorted(units(runs[0][1]).items(), key=lambda unit: (place.get(unit[0].suite, len(place)), unit[0])))
    parts = []
    for path, run in runs[1:]:
        other = units(run)
        for part in dict.fromkeys(of(key) for key in first if key in other):
            pairs = pair({key: each for key, each in first.items() if of(key) == part}, other)
            parts.append(_part(run_name(path), *part, run, pairs))
    adjusted = holm([part.p for part in parts])
    return [replace(part, p=p, verdict=part.pairs.verdict(p)) for part, p in zip(parts, adjusted, strict=True)]


def _part(run: str, suite: str, task_id: int | None, summary: dict, pairs: Pairs) -> ComparedPart:
    task = None if task_id is None else summary["tasks"][f"{suite}/{task_id}"]["task"]
    difference = pairs.difference if pairs.count else None
    return ComparedPart(run, suite, task_id, task, *pairs.rates, pairs, difference, pairs.p, Verdict.OPEN)
