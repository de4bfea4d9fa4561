"""What `vla-bench compare --by axis` shows and writes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from vla_bench.report.axis_tables import drop_table, more_table
from vla_bench.report.report_table import ReportTable, csv_text
from vla_bench.results.axes import AxisDrop
from vla_bench.results.axis_comparison import AxisComparison
from vla_bench.tables import print_table
from vla_bench.terminal import show
from vla_bench.values import By, TextFormat

Drops, Compared = Sequence[AxisDrop], Sequence[AxisComparison]


def print_axes(drops: Drops, compared: Compared) -> None:
    """Two tables on standard output; what the columns are on standard error."""
    for table in (drop_table(drops), more_table(compared)):
        print_table(table.columns, table.rows, title=table.title, details=("suites", "tasks"))
        show("\n".join(table.notes), file=sys.stderr)


def exported_axes(form: TextFormat, drops: Drops, compared: Compared) -> str:
    """The comparison as text.  CSV has the second table, whose rows hold the drops, too."""
    if form is TextFormat.JSON:
        found = {"drops": [each.to_dict() for each in drops], "compared": [each.to_dict() for each in compared]}
        return json.dumps({"by": By.AXIS.value, "family": len(compared), **found}, allow_nan=False) + "\n"
    tables = (drop_table(drops), more_table(compared))
    if form is TextFormat.CSV:
        return csv_text(tables[1].data)
    return "\n".join(_text(form, table) for table in tables)


def _text(form: TextFormat, table: ReportTable) -> str:
    if form is TextFormat.LATEX:
        return table.latex() + table.latex_notes()
    return f"**{table.title}**\n\n{table.markdown()}"
