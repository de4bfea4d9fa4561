"""What `vla-bench paper` prints: the LightVLA paper's Tables I to V, each cell as printed, with notes on contradictions."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

from vla_bench import paper
from vla_bench.errors import UsageError
from vla_bench.paper_notes import footnotes
from vla_bench.report.published import Published
from vla_bench.report.report_table import ReportTable, csv_text
from vla_bench.tables import print_table
from vla_bench.terminal import show
from vla_bench.values import TextFormat

SOURCE = "as printed in the LightVLA paper (arXiv 2509.12594): models of 7B and others, on LIBERO's own assets, without intervals"
HEADINGS = {
    "scale": "size",
    "token_pruning": "pruned",
    "pruning_position": "position",
    "visual_tokens": "tokens",
    "gpu": "GPU",
    "tflops": "TFLOP",
    "latency_ms": "ms",
    "success_average": "success",
    "tokens_average": "tokens",
    **{f"tokens_{suite}": f"tokens {suite}" for suite in paper.SUITES},
}
DETAILS = ("size", "pruned", "decoding", "backbone")  # left out in a narrow terminal, as are tokens by suite


@dataclass(frozen=True)
class PaperTable:
    """number: as "IV".  table: name of its file.  row: the columns that name a row in footnotes.  typed: its rows."""

    number: str
    table: str
    title: str
    row: tuple[str, ...]
    typed: Callable[[], Mapping]


TABLES = (
    PaperTable("I", "table1", "Success on LIBERO, in percent", ("method",), paper.table1),
    PaperTable("II", "table2", "Cost of a query, and success averaged over the suites", ("method",), paper.table2),
    PaperTable("III", "table3", "Sampling noise in training: success in percent", ("variant",), paper.table3),
    PaperTable("IV", "table4", "More and fewer tokens: success in percent", ("tokens",), paper.table4),
    PaperTable("V", "table5", "Learnable queries: success in percent", ("method", "pruning_position"), paper.table5),
)


def paper_tables(names: Sequence[str] = ()) -> list[PaperTable]:
    """By number, as "IV", "4" or "table4"; all where empty.  Raises UsageError."""
    by_name = {name: each for place, each in enumerate(TABLES, 1) for name in (each.number.lower(), str(place), each.table)}
    if unknown := [name for name in names if name.lower() not in by_name]:
        raise UsageError(f'the paper has Tables I to V, not "{unknown[0]}"', "vla-bench paper II")
    return [by_name[name.lower()] for name in dict.fromkeys(names)] or list(TABLES)


def printed_table(which: PaperTable) -> ReportTable:
    """Its cells with the numbers of their footnotes.  Raises RecordError for a file that is no such table."""
    which.typed()  # every cell is what it should be
    cells = paper.printed(which.table)
    columns, published = list(cells[0]), Published(which.table)
    headings = tuple(published.column(column, HEADINGS.get(column, column)) for column in columns)
    rows = [
        [published.cell(" ".join(row[name] for name in which.row), column, row[column]) for column in columns] for row in cells
    ]
    data = [{"table": which.number, **row} for row in cells]
    return ReportTable(which.table, f"Table {which.number}. {which.title}", headings, rows, data, [SOURCE], published.notes)


def print_paper(chosen: Sequence[PaperTable]) -> None:
    """To standard output."""
    for table in map(printed_table, chosen):
        details = [name for name in table.columns if name in DETAILS or name.startswith("tokens ")]
        print_table(table.columns, table.rows, title=table.title, totals="", details=details)
        for line in table.below:
            show(line)
        show()


def as_text(chosen: Sequence[PaperTable], form: TextFormat) -> str:
    """JSON: an object a table, numbers as numbers.  Markdown and LaTeX: table by table.  CSV: all rows, with their table."""
    if form is TextFormat.JSON:
        return json.dumps([_json(each) for each in chosen], allow_nan=False) + "\n"
    tables = list(map(printed_table, chosen))
    if form is TextFormat.CSV:
        return csv_text([row for table in tables for row in table.data])
    if form is TextFormat.LATEX:
        return "\n".join(f"{table.latex()}{table.latex_notes()}" for table in tables)
    return "\n".join(f"**{table.title}**\n\n{table.markdown()}" for table in tables)


def _json(which: PaperTable) -> dict[str, object]:
    notes = [
        {"text": note.text, "cells": [list(cell[1:]) for cell in note.cells if cell[0] == which.table]}
        for note in footnotes()
        if any(cell[0] == which.table for cell in note.cells)
    ]
    rows = [asdict(row) for row in which.typed().values()]
    return {"table": which.number, "title": which.title, "rows": rows, "footnotes": notes}
