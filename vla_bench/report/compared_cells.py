"""The cells of a comparison: one row a run, or one a suite or task of each."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.metrics import Metric, shown
from vla_bench.report.forest import points
from vla_bench.results.comparison import ComparedRun
from vla_bench.results.parts import ComparedPart
from vla_bench.results.result_table import successes
from vla_bench.stats import Difference, Rate
from vla_bench.suites import instruction_of
from vla_bench.tables import without_column
from vla_bench.values import By, Population

Table = tuple[tuple[str, ...], list[list[str]]]
PAIRED = ("lost", "gained", "difference", "p", "verdict")  # columns about the pairs


def comparison_table(rows: Sequence[ComparedRun]) -> Table:
    """Columns, and one row a run: won of each suite, the rate with its interval, what it cost, and the pairs with the first."""
    suites = list(dict.fromkeys(name for row in rows for name in row.suites))
    metrics = cost_metrics(rows)
    columns = ("run", *suites, "%", "95 % CI", "n", *(metric.column for metric in metrics), *PAIRED)
    return columns, [[cells(row, suites, metrics)[column] for column in columns] for row in rows]


def cost_metrics(rows: Sequence[ComparedRun]) -> list[Metric]:
    return shown([row.metrics for row in rows], compared=True)


def cells(row: ComparedRun, suites: Sequence[str], metrics: Sequence[Metric]) -> dict[str, str]:
    rate, gap = row.rate, decided(row)
    texts = {"run": row.name} | {suite: won(row.suites.get(suite)) for suite in suites}
    texts["%"] = percent(rate)
    texts["95 % CI"] = "-" if rate.rate is None else f"{100 * rate.low:.1f} - {100 * rate.high:.1f}"
    texts["n"] = f"{rate.n}/{'?' if row.planned is None else row.planned}" if row.partial else str(rate.n)
    texts |= {metric.column: metric.cell(row.metrics) for metric in metrics}
    texts["lost"], texts["gained"] = ("", "") if row.pairs is None else (str(row.pairs.fell), str(row.pairs.rose))
    texts["difference"] = ("" if row.pairs is None else "-") if gap is None else points(gap)
    texts["p"] = "" if row.p is None else f"{row.p:.2g}"
    texts["verdict"] = "" if row.verdict is None else row.verdict.value
    return texts


def parts_table(parts: Sequence[ComparedPart], by: By) -> Table:
    """Columns, and one row a suite or task of each run; the run is named where there are several."""
    names = ("suite", "task", "instruction") if by is By.TASK else ("suite",)
    columns = ("run", *names, "n", "base %", "%", *PAIRED)
    table = columns, [[part_cells(part)[column] for column in columns] for part in parts]
    return table if len({part.run for part in parts}) > 1 else without_column("run", *table)


def part_cells(part: ComparedPart) -> dict[str, str]:
    gap = decided(part)
    return {
        "run": part.run,
        "suite": part.suite,
        "task": str(part.task_id),
        "instruction": instruction_of(part.suite, part.task_id, part.task) if part.task else "",
        "n": str(part.pairs.count),
        "base %": percent(part.base),
        "%": percent(part.rate),
        "lost": str(part.pairs.fell),
        "gained": str(part.pairs.rose),
        "difference": "-" if gap is None else points(gap),
        "p": f"{part.p:.2g}",
        "verdict": part.verdict.value,
    }


def decided(row: ComparedRun | ComparedPart) -> Difference | None:
    """The difference that the verdict speaks of."""
    return row.difference if row.population is Population.INIT_STATES else row.over_tasks


def percent(rate: Rate) -> str:
    return "-" if rate.rate is None else f"{100 * rate.rate:.1f}"


def won(rate: Rate | None) -> str:
    return "-" if rate is None else f"{successes(rate)}/{rate.n}"
