"""The sentences around a comparison: of what its numbers speak, and what a reader should know before believing one."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.report.compared_cells import decided
from vla_bench.report.forest import points
from vla_bench.results.comparison import ComparedRun
from vla_bench.results.evidence import LEVEL
from vla_bench.results.parts import ComparedPart
from vla_bench.stats import Difference
from vla_bench.task_stats import LEAST_TASKS
from vla_bench.values import By, Population

SURE = f"{100 * (1 - LEVEL):g} %"
TESTS = {
    Population.INIT_STATES: "McNemar's exact test (sign-flip test where repeats ended differently)",
    Population.TASKS: "t test over task means, never below McNemar's p on the measured tasks",
}
INTERVALS = {
    Population.INIT_STATES: "Newcombe's paired interval",
    Population.TASKS: "t interval over task means, never narrower than Newcombe's on the measured tasks",
}


def notes(rows: Sequence[ComparedRun], parts: Sequence[ComparedPart] = (), by: By | None = None) -> list[str]:
    """What the columns are.  parts: what the p values are of, where they are not of the rows."""
    population, family = rows[0].population, (parts or rows)[0].family
    one = "run" if by is None else f"{by} of each run" if len(rows) > 2 else str(by)
    if family > 1:
        together = f"; the {family} intervals hold together at {SURE} (Bonferroni)"
        tests = f"the family of {family} tests, one a {one}"
    else:
        together, tests = f", {SURE}", "the one test shown"
    about = f"rates, differences and verdicts are about {population.words}"
    if population is Population.TASKS:
        about = f"differences and verdicts are about {population.words}, rates about {Population.INIT_STATES.words}"
    first = "" if len(rows) == 2 else "; of the first run those that any other run has"
    return [
        f"difference: in points, {INTERVALS[population]}{together}",
        f"p, verdict: {TESTS[population]}, with Holm's correction for {tests}",
        f"{about}; each rate has its own {SURE} Wilson interval",
        f"n counts init states; rates and costs are those of the paired ones{first}",
    ]


def warnings(rows: Sequence[ComparedRun], parts: Sequence[ComparedPart] = ()) -> list[str]:
    """Runs that lack planned episodes, and rows with too few tasks for what is asked."""
    lines = [
        f"{row.name}: {row.status}, {row.ended} of {'an unknown number of' if row.planned is None else row.planned} planned init "
        "states have ended without an error; those that are missing may be the failures"
        for row in rows
        if row.partial
    ]
    if rows[0].population is Population.TASKS:
        tested = [(part.suite if len(rows) == 2 else f"{part.run}, {part.suite}", part.tasks) for part in parts]
        lines += [
            f"{name}: {count} {'task is' if count == 1 else 'tasks are'} too few to speak of tasks of their kind, "
            f"{LEAST_TASKS} are needed"
            for name, count in tested or [(row.name, row.tasks or 0) for row in rows[1:]]
            if count < LEAST_TASKS
        ]
    return lines


def interval_name(family: int) -> str:
    """How sure the intervals of the rows' differences are."""
    return f"{SURE} interval" if family == 1 else f"{SURE} intervals of all {family} together"


def headlines(rows: Sequence[ComparedRun]) -> list[str]:
    """Each run's difference, of these tasks and of tasks of their kind, where there is more than one task."""
    lines = []
    for row in rows:
        if (over := row.over_tasks) is not None and (own := row.difference) is not None:
            lines.append(
                f"{row.name}: {points(own)} points on {Population.INIT_STATES.words}; {points(over)} over "
                f"{Population.TASKS.words} (t over task means); {interval_name(row.family)}"
            )
    return lines


def bars(rows: Sequence[ComparedRun], parts: Sequence[ComparedPart] = ()) -> list[tuple[str, Difference | None]]:
    """The rows of the forest plot, with their differences: parts where there are any, else the runs after the first."""
    if not parts:
        return [(row.name, decided(row)) for row in rows[1:]]
    several = len({part.run for part in parts}) > 1
    names = [part.suite if part.task_id is None else f"{part.suite} {part.task_id}" for part in parts]
    return [(f"{part.run} {name}" if several else name, decided(part)) for part, name in zip(parts, names, strict=True)]
