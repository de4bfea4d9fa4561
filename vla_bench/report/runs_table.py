"""What `vla-bench runs` prints: one row a run, summary or sweep."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vla_bench.report.rate_cells import rate_cell
from vla_bench.report.report_table import csv_text
from vla_bench.results.listed import ListedRun
from vla_bench.tables import print_table
from vla_bench.terminal import show
from vla_bench.values import ListedStatus, RunKind

COLUMNS = ("run", "model", "pruner", "suites", "n", "success %", "errors", "status", "date")
DETAILS = ("suites", "errors", "date")  # left out in a narrow terminal


def print_runs(rows: Sequence[ListedRun], notes: Sequence[str]) -> None:
    """The table on standard output; below it, on standard error, why a run cannot be read, and the command that helps."""
    if rows:
        print_table(COLUMNS, [_cells(row) for row in rows], totals="", details=DETAILS)
    else:
        show("no runs", file=sys.stderr)
    for row in rows:
        if row.problem is not None:
            show(f"{row.status}: {row.problem}", file=sys.stderr)
    if rows:
        show("success: of init states, in percent, with 95 % Wilson intervals; n counts init states", file=sys.stderr)
    if any(row.status is ListedStatus.STOPPED for row in rows):
        show("stopped: early, because of its outcomes: its rate is no estimate", file=sys.stderr)
    for note in notes:
        show(f"not looked at: {note}", file=sys.stderr)


def _cells(row: ListedRun) -> list[str]:
    about = [str(row.path), row.model or "-", row.pruner or "-", " ".join(row.suites) or "-"]
    ending = [row.status.value, row.created[:16].replace("T", " ") or "-"]
    if row.kind is RunKind.SWEEP or row.problem is not None:
        return [*about, "-", "-", "-", *ending]
    n = str(row.rate.n) if row.planned in (None, row.rate.n) else f"{row.rate.n}/{row.planned}"
    return [*about, n, rate_cell(row.rate), str(row.errors), *ending]


def runs_csv(rows: Sequence[ListedRun]) -> str:
    """One line a row; suites with spaces between them, a problem by its message."""
    table = [row.to_dict() for row in rows]
    for row, cells in zip(rows, table, strict=True):
        cells |= {"suites": " ".join(row.suites), "problem": None if row.problem is None else row.problem.message}
    return csv_text(table)
