"""Tables for the terminal and for Markdown, from one list of rows."""

from __future__ import annotations

import sys
from collections.abc import Collection

LEFT = set("suite instruction model kind suites weights pruner acts needs source variant run verdict".split()) | {"unnorm key"}
PROSE = {"acts", "needs", "source"}  # wrapped in a narrow terminal, so that names stay whole
LEAST_WORDS = 20  # least characters of a shortened instruction


def markdown(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    rule = ["---" if c in LEFT else "---:" for c in columns]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [list(columns), rule, *rows]) + "\n"


def print_table(
    columns: tuple[str, ...], rows: list[list[str]], title: str = "", totals: str = "all", details: Collection[str] = ()
) -> None:
    """To standard output; rows whose first or second cell is `totals` are bold.

    details: columns that are left out in a narrow terminal.  Only instructions are shortened.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # files and pipes: no terminal width to fit
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    spare = console.width - sum(widths) - 3 * len(columns)
    if spare < 0 and (left_out := [column for column in columns if column in details]):
        for column in left_out:
            columns, rows = without_column(column, columns, rows)
        print_table(columns, rows, title, totals)
        return print(f"terminal too narrow for the columns {', '.join(left_out)}", file=sys.stderr)
    if "instruction" in columns and widths[columns.index("instruction")] + spare < LEAST_WORDS:
        return print_table(*without_column("instruction", columns, rows), title, totals)
    # Where numbers still do not fit: less padding, and then the terminal breaks lines.
    padding = (0, 1) if spare >= 0 or "instruction" in columns else (0, 0)
    if not {"instruction", *PROSE}.intersection(columns):
        console.width = max(console.width, sum(widths) + 2 * len(columns))
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=padding)
    for column, width in zip(columns, widths, strict=True):
        # One line a row in any terminal: instructions are shortened or left out, numbers never.
        most = width + min(spare, 0) if column == "instruction" else None
        side, fit = "left" if column in LEFT else "right", "fold" if column in PROSE else "ellipsis"
        table.add_column(column, justify=side, max_width=most, overflow=fit, no_wrap=column not in PROSE)
    for row in rows:
        last = totals in row[:2]
        table.add_row(*row, style="bold" if last else None, end_section=last)
    console.print(table)


def without_column(column: str, columns: tuple[str, ...], rows: list[list[str]]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Columns and rows without one column."""
    place = columns.index(column)
    return columns[:place] + columns[place + 1 :], [row[:place] + row[place + 1 :] for row in rows]
