"""What `vla-bench compare` and `vla-bench ablate` show in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vla_bench.report.compared_cells import PAIRED, Table, comparison_table, cost_metrics, parts_table
from vla_bench.report.compared_notes import bars, headlines, interval_name, notes, warnings
from vla_bench.report.forest import forest, marks
from vla_bench.results.comparison import ComparedRun
from vla_bench.results.parts import ComparedPart
from vla_bench.tables import print_stacked, print_table, without_column
from vla_bench.terminal import show
from vla_bench.values import By


def print_comparison(rows: Sequence[ComparedRun], parts: Sequence[ComparedPart] = (), by: By | None = None) -> None:
    """Tables and plots of the differences on standard output; what the columns are on standard error."""
    if by is None:
        print_runs(rows, comparison_table(rows))
        print_forest(rows)
    else:
        runs = list(dict.fromkeys(part.run for part in parts))
        for run in runs:
            own = [part for part in parts if part.run == run]
            table = without_column("difference", *parts_table(own, by))
            if len(runs) > 1:
                show(f"{run} against {rows[0].name}")
            print_table(*table)
            print_forest(rows, own)
    print_around(rows, parts, by)


def print_runs(rows: Sequence[ComparedRun], table: Table) -> None:
    """The table of runs, in two where one is too wide.  The plot has the differences."""
    costs = [metric.column for metric in cost_metrics(rows)]
    print_stacked(*without_column("difference", *table), below=[*costs, *PAIRED])


def print_forest(rows: Sequence[ComparedRun], parts: Sequence[ComparedPart] = ()) -> None:
    lines = forest(bars(rows, parts), marks())
    if lines:
        show("\n".join([f"difference in points, {interval_name((parts or rows)[0].family)}", *lines, ""]))


def print_around(rows: Sequence[ComparedRun], parts: Sequence[ComparedPart] = (), by: By | None = None) -> None:
    """Headlines and warnings; on standard error what the columns are."""
    for line in [*headlines(rows), *warnings(rows, parts)]:
        show(line)
    show("\n".join(notes(rows, parts, by)), file=sys.stderr)
