"""A comparison of runs as a table: in the terminal, and as Markdown."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vla_bench.metrics import Metric, shown
from vla_bench.results.comparison import POPULATION, ComparedRun
from vla_bench.results.parts import ComparedPart
from vla_bench.results.result_table import successes
from vla_bench.stats import Difference, Rate
from vla_bench.suites import Task
from vla_bench.tables import markdown, print_table
from vla_bench.values import By

POINTS = "difference: on the pairs, in points, with Newcombe's 95 % interval, which is not adjusted for the number of rows"
TEST = "p, verdict: McNemar's exact test (sign-flip test where repeats ended differently), with Holm's correction for"


def print_comparison(rows: list[ComparedRun]) -> None:
    print_table(*comparison_table(rows), details=("GFLOP", "gained", "lost"))
    for line in headlines(rows):
        print(line)
    print(notes(len(rows) - 1), file=sys.stderr)


def print_parts(rows: list[ComparedRun], parts: list[ComparedPart], by: By) -> None:
    """The table of suites or tasks, and below it what they add up to."""
    print_table(*parts_table(parts, by))
    for line in headlines(rows):
        print(line)
    print(notes(len(parts), by), file=sys.stderr)


def comparison_markdown(rows: list[ComparedRun]) -> str:
    return markdown(*comparison_table(rows)) + _paragraphs(headlines(rows), notes(len(rows) - 1))


def parts_markdown(rows: list[ComparedRun], parts: list[ComparedPart], by: By) -> str:
    return markdown(*parts_table(parts, by)) + _paragraphs(headlines(rows), notes(len(parts), by))


def _paragraphs(lines: Sequence[str], note: str) -> str:
    return "".join(f"\n{line}\n" for line in [*lines, *note.splitlines()])


def notes(tests: int, by: By | None = None) -> str:
    """What the columns are, and of what they speak.  tests: rows that have a p value, the family of Holm's correction."""
    rows = "row" if by is None else f"{by} of each run" if tests > 1 else str(by)
    family = f"the family of {tests} tests, one a {rows}" if tests > 1 else "the one test shown"
    return f"{POINTS}\n{TEST} {family}\nrates, differences and verdicts are about {POPULATION}; n counts init states"


def headlines(rows: Sequence[ComparedRun]) -> list[str]:
    """Each run's difference with both intervals, where there is more than one task."""
    return [f"{row.name}: {headline(row.difference, row.over_tasks)}" for row in rows if row.over_tasks is not None]


def headline(gap: Difference, over_tasks: Difference, percent: float = 95) -> str:
    """A difference for these tasks, and for tasks of their kind."""
    own = f"{100 * gap.value:+.1f} points on {POPULATION}, {percent:g} % interval [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    return f"{own}; over tasks of their kind {points(over_tasks)} (95 %, t over task means)"


def points(gap: Difference) -> str:
    return f"{100 * gap.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"


def comparison_table(rows: list[ComparedRun]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Columns, and one row a run: won of each suite, the rate with its interval, what it cost, and the pairs with the first."""
    suites = list(dict.fromkeys(name for row in rows for name in row.suites))
    metrics = shown([row.metrics for row in rows], compared=True)
    reported = [metric.column for metric in metrics]
    columns = ("run", *suites, "%", "95 % CI", "n", *reported, "lost", "gained", "difference", "p", "verdict")
    return columns, [[cells(row, suites, metrics)[column] for column in columns] for row in rows]


def cells(row: ComparedRun, suites: Sequence[str], metrics: Sequence[Metric]) -> dict[str, str]:
    rate = row.rate
    texts = {"run": row.name} | {suite: won(row.suites.get(suite)) for suite in suites}
    texts["%"] = percent(rate)
    texts["95 % CI"] = "-" if rate.rate is None else f"{100 * rate.low:.1f} - {100 * rate.high:.1f}"
    texts["n"] = str(rate.n)
    texts |= {metric.column: metric.cell(row.metrics) for metric in metrics}
    texts["lost"], texts["gained"] = ("", "") if row.pairs is None else (str(row.pairs.fell), str(row.pairs.rose))
    texts["difference"] = "" if row.difference is None else points(row.difference)
    texts["p"] = "" if row.p is None else f"{row.p:.2g}"
    texts["verdict"] = "" if row.verdict is None else row.verdict.value
    return texts


def parts_table(parts: list[ComparedPart], by: By) -> tuple[tuple[str, ...], list[list[str]]]:
    """Columns, and one row a suite or task of each run; the run is named where there are several."""
    several = len(parts) > len({(part.suite, part.task_id) for part in parts})
    names = ("suite", "task", "instruction") if by is By.TASK else ("suite",)
    columns = (*(["run"] if several else []), *names, "n", "base %", "%", "lost", "gained", "difference", "p", "verdict")
    return columns, [[part_cells(part)[column] for column in columns] for part in parts]


def part_cells(part: ComparedPart) -> dict[str, str]:
    return {
        "run": part.run,
        "suite": part.suite,
        "task": str(part.task_id),
        "instruction": Task(0, part.task).language if part.task else "",
        "n": str(part.pairs.count),
        "base %": percent(part.base),
        "%": percent(part.rate),
        "lost": str(part.pairs.fell),
        "gained": str(part.pairs.rose),
        "difference": "-" if part.difference is None else points(part.difference),
        "p": f"{part.p:.2g}",
        "verdict": part.verdict.value,
    }


def percent(rate: Rate) -> str:
    return "-" if rate.rate is None else f"{100 * rate.rate:.1f}"


def won(rate: Rate | None) -> str:
    return "-" if rate is None else f"{successes(rate)}/{rate.n}"
