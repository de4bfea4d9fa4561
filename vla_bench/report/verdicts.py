"""What `vla-bench verify` prints for people."""

from __future__ import annotations

from vla_bench.verify.compare import Mark, Row
from vla_bench.verify.run import Verdict

STYLES = {Mark.OK: "green", Mark.MISS: "bold red", Mark.UNCHECKED: "yellow"}


def print_verdict(verdict: Verdict) -> None:
    """One line a family of tensors, then what is wrong in words, then the count."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    table = Table(title=str(verdict.fixtures), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column, side in zip(("file", "family", "tensors", "largest error", "tolerance", "verdict"), "llrrrl", strict=True):
        table.add_column(column, justify={"l": "left", "r": "right"}[side], no_wrap=True)
    last = None
    for row in verdict.rows:
        file = "" if row.file == last else row.file  # named once, above its families
        last = row.file
        mark = Text(row.verdict.value, style=STYLES[row.verdict])
        table.add_row(file, row.family, str(row.tensors or "-"), _number(row.max_error), _number(row.tolerance), mark)
    console.print(table)
    for mark in (Mark.UNCHECKED, Mark.MISS):
        for reason, where in _reasons(verdict.rows, mark).items():
            console.print(Text(f"{mark.value}: {where[0] if len(where) == 1 else f'{len(where)} times'}: {reason}"))
    console.print(Text(counts(verdict.rows)))


def counts(rows: tuple[Row, ...]) -> str:
    """ "41 ok, 1 MISS, 2 not checked"."""
    return ", ".join(f"{sum(row.verdict is mark for row in rows)} {mark.value}" for mark in Mark)


def _reasons(rows: tuple[Row, ...], mark: Mark) -> dict[str, list[str]]:
    """The files that each reason holds for."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict is mark and row.reason:
            found.setdefault(row.reason, []).append(row.file)
    return found


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return "0" if value == 0 else f"{value:.2g}"
