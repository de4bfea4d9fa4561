"""Tables for the terminal and for Markdown, from one list of rows."""

from __future__ import annotations

import sys
from collections.abc import Collection

from vla_bench.terminal import show, visible

LEFT = {"unnorm key", *"suite instruction model kind suites weights pruner acts needs source variant run verdict what".split()}
LEFT |= set("pack state size pruned decoding backbone device position camera use kind status date method scale change".split())
PROSE = {"acts", "needs", "source"}  # wrapped in a narrow terminal, so that names stay whole
LEAST_WORDS = 20  # least characters of a shortened instruction


def markdown(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    rule = ["---" if c in LEFT else "---:" for c in columns]
    rows = [[visible(cell).replace("\n", " ").replace("|", "\\|") for cell in cells] for cells in rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [list(columns), rule, *rows]) + "\n"


def print_table(
    columns: tuple[str, ...], rows: list[list[str]], title: str = "", totals: str = "all", details: Collection[str] = ()
) -> None:
    """To standard output; rows whose first or second cell is `totals` are bold.

    details: columns that are left out in a narrow terminal.  Only instructions are shortened.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    title, rows = visible(title), [[visible(cell) for cell in row] for row in rows]
    console = _console()
    widths = _widths(columns, rows)
    spare = console.width - sum(widths) - 3 * len(columns)
    if spare < 0 and (left_out := [column for column in columns if column in details]):
        for column in left_out:
            columns, rows = without_column(column, columns, rows)
        print_table(columns, rows, title, totals)
        return show(f"terminal too narrow for the columns {', '.join(left_out)}", file=sys.stderr)
    if "instruction" in columns and widths[columns.index("instruction")] + spare < LEAST_WORDS:
        return print_table(*without_column("instruction", columns, rows), title, totals)
    # Where numbers still do not fit: less padding, and then the terminal breaks lines.
    padding = (0, 1) if spare >= 0 or "instruction" in columns else (0, 0)
    if not {"instruction", *PROSE}.intersection(columns):
        console.width = max(console.width, sum(widths) + 2 * len(columns))
    table = Table(
        title=Text(title) if title else None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=padding
    )
    for column, width in zip(columns, widths, strict=True):
        # One line a row in any terminal: instructions are shortened or left out, numbers never.
        most = width + min(spare, 0) if column == "instruction" else None
        side, fit = "left" if column in LEFT else "right", "fold" if column in PROSE else "ellipsis"
        table.add_column(column, justify=side, max_width=most, overflow=fit, no_wrap=column not in PROSE)
    for row in rows:
        last = totals in row[:2]
        table.add_row(*map(Text, row), style="bold" if last else None, end_section=last)
    console.print(table)


def print_stacked(columns: tuple[str, ...], rows: list[list[str]], below: Collection[str]) -> None:
    """One table where it fits; else two, one below the other, of which the second has the columns of `below`, and both the first.

    Names in the first column that are too long even then become letters, which are explained above the tables.
    """
    width = _console().width
    if sum(_widths(columns, rows)) + len(columns) <= width:
        return print_table(columns, rows)
    names, rows = [row[0] for row in rows], [list(row) for row in rows]
    tables = [tuple(c for c in columns if c not in below), (columns[0], *(c for c in columns if c in below))]
    places = [[columns.index(c) for c in table] for table in tables]
    if any(sum(_widths(columns, rows)[i] for i in own) + len(own) > width for own in places):
        for number, row in enumerate(rows):
            row[0] = letter(number)
            show(f"{row[0]}  {names[number]}")
    for table, own in zip(tables, places, strict=True):
        print_table(table, [[row[i] for i in own] for row in rows])


def letter(number: int) -> str:
    """A, B, ... Z, AA, AB, ..."""
    before = letter(number // 26 - 1) if number >= 26 else ""
    return before + chr(ord("A") + number % 26)


def _console():
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=200)  # files and pipes: no terminal width to fit


def _widths(columns: tuple[str, ...], rows: list[list[str]]) -> list[int]:
    return [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]


def without_column(column: str, columns: tuple[str, ...], rows: list[list[str]]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Columns and rows without one column."""
    place = columns.index(column)
    return columns[:place] + columns[place + 1 :], [row[:place] + row[place + 1 :] for row in rows]
