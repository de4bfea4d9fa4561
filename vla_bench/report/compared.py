"""A comparison of runs as a table: in the terminal, and as Markdown."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vla_bench.metrics import Metric, shown
from vla_bench.results.comparison import ComparedRun
from vla_bench.results.result_table import successes
from vla_bench.stats import Rate
from vla_bench.tables import markdown, print_table

NOTE = """difference: on the pairs, in points, with Newcombe's 95 % interval
p, verdict: McNemar's exact test, with Holm's correction for the number of rows"""


def print_comparison(rows: list[ComparedRun]) -> None:
    print_table(*comparison_table(rows), details=("GFLOP", "gained", "lost"))
    print(NOTE, file=sys.stderr)


def comparison_markdown(rows: list[ComparedRun]) -> str:
    return markdown(*comparison_table(rows))


def comparison_table(rows: list[ComparedRun]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Columns, and one row a run: won of each suite, the rate with its interval, what it cost, and the pairs with the first."""
    suites = list(dict.fromkeys(name for row in rows for name in row.suites))
    metrics = shown([row.metrics for row in rows], compared=True)
    reported = [metric.column for metric in metrics]
    columns = ("run", *suites, "%", "95 % CI", "n", *reported, "lost", "gained", "difference", "p", "verdict")
    return columns, [[cells(row, suites, metrics)[column] for column in columns] for row in rows]


def cells(row: ComparedRun, suites: Sequence[str], metrics: Sequence[Metric]) -> dict[str, str]:
    rate, gap = row.rate, row.difference
    texts = {"run": row.name} | {suite: won(row.suites.get(suite)) for suite in suites}
    texts["%"] = "-" if rate.rate is None else f"{100 * rate.rate:.1f}"
    texts["95 % CI"] = "-" if rate.rate is None else f"{100 * rate.low:.1f} - {100 * rate.high:.1f}"
    texts["n"] = str(rate.n)
    texts |= {metric.column: metric.cell(row.metrics) for metric in metrics}
    texts["lost"], texts["gained"] = ("", "") if row.pairs is None else (str(row.pairs.fell), str(row.pairs.rose))
    texts["difference"] = "" if gap is None else f"{100 * gap.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"
    texts["p"] = "" if row.p is None else f"{row.p:.2g}"
    texts["verdict"] = "" if row.verdict is None else row.verdict.value
    return texts


def won(rate: Rate | None) -> str:
    return "-" if rate is None else f"{successes(rate)}/{rate.n}"
