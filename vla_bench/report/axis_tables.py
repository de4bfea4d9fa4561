"""Success under change: what each run drops on each axis, and whether it drops more than the first run does."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.report.compared_notes import SURE
from vla_bench.report.forest import points
from vla_bench.report.rate_cells import rate_cell, rate_data
from vla_bench.report.report_table import ReportTable
from vla_bench.results.axes import AxisDrop
from vla_bench.results.axis_comparison import AxisComparison
from vla_bench.stats import Difference
from vla_bench.task_stats import LEAST_TASKS
from vla_bench.values import Population

DROP = ("run", "change", "suites", "tasks", "n", "original", "changed", "drop")
MORE = ("run", "change", "tasks", "n", "drop of base", "drop", "more", "p", "verdict")


def drop_table(drops: Sequence[AxisDrop]) -> ReportTable:
    """One row an axis of each run."""
    rows, data = [], []
    for each in drops:
        cells = [each.run, each.axis, ", ".join(each.suites), str(each.tasks), str(each.rate.n)]
        rows.append([*cells, rate_cell(each.original), rate_cell(each.rate), points(each.drop)])
        about = {"run": each.run, "axis": each.axis, "suites": " ".join(each.suites), "tasks": each.tasks, "paired": each.paired}
        rates = rate_data("original", each.original) | rate_data("changed", each.rate)
        data.append({**about, **rates, **_data("drop", each.drop)})
    return ReportTable("axes", "Success under change, in percent", DROP, rows, data, drop_notes(drops))


def more_table(compared: Sequence[AxisComparison], suffix: str = "") -> ReportTable:
    """One row an axis of each run after the first.  suffix: of the files' names."""
    base = compared[0].base.run
    rows, data = [], []
    for each in compared:
        gap = "-" if each.decided is None else points(each.decided)
        cells = [each.run, each.axis, str(each.tasks), str(each.n), points(each.base.drop), points(each.other.drop)]
        rows.append([*cells, gap, f"{each.p:.2g}", each.verdict.value])
        about = {"run": each.run, "axis": each.axis, "tasks": each.tasks, "n": each.n}
        found = _data("base_drop", each.base.drop) | _data("drop", each.other.drop) | _data("more", each.decided)
        found |= {"p": each.p, "verdict": each.verdict.value, "population": each.population.words, "family": each.family}
        data.append({**about, **found})
    title = f"Drops beside those of {base}"
    return ReportTable(f"axes-compared{suffix}", title, MORE, rows, data, more_notes(compared))


def drop_notes(drops: Sequence[AxisDrop]) -> list[str]:
    kinds = {each.paired for each in drops}
    how = {True: "paired by init state", False: "of independent samples, since their init states are others"}
    said = " or ".join(how[kind] for kind in sorted(kinds))
    return [
        f"drop: success on the changed suites less that on their originals, in points, over the tasks that a run has of both; "
        f"Newcombe's {SURE} interval, {said}",
        f"rates are about {Population.INIT_STATES.words}, each with its own {SURE} Wilson interval; n counts init states of the "
        "changed suites",
    ]


def more_notes(compared: Sequence[AxisComparison]) -> list[str]:
    family, population, base = compared[0].family, compared[0].population, compared[0].base.run
    together = f"; the {family} intervals hold together at {SURE} (Bonferroni)" if family > 1 else f", {SURE}"
    tests = f"the family of {family} tests, one a change of each run" if family > 1 else "the one test shown"
    over = "" if population is Population.INIT_STATES else " and of a t interval over task means, whichever is wider"
    lines = [
        f"more: the run less {base} on the changed suites, less the same on the originals, in points: below 0 it loses more by "
        f"the change than {base} does; interval of both paired intervals (Zou and Donner){over}{together}",
        f"p, verdict: the level at which that interval just reaches 0, with Holm's correction for {tests}",
        f"drops are those of the pairs; differences and verdicts are about {population.words}",
    ]
    few = sorted({f"{each.run}, {each.axis}" for each in compared if each.tasks < LEAST_TASKS})
    if few and population is Population.TASKS:
        lines.append(f"{'; '.join(few)}: too few tasks to speak of tasks of their kind, {LEAST_TASKS} are needed")
    return lines


def _data(name: str, found: Difference | None) -> dict[str, object]:
    if found is None:
        return {}
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
