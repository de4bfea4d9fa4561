"""What `vla-bench verify` prints for people."""

from __future__ import annotations

from vla_bench.terminal import visible
from vla_bench.verify.compare import CheckStatus, FamilyResult
from vla_bench.verify.run import VerifyReport

STYLES = {CheckStatus.OK: "green", CheckStatus.MISS: "bold red", CheckStatus.UNCHECKED: "yellow"}
COLUMNS = ("tensors", "n", "error", "tolerance", "verdict")
LEFT = {"tensors", "verdict"}


def print_report(report: VerifyReport) -> None:
    """Under each file one line a family with the worst of its n tensors; then the reasons of misses, and the counts."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # files and pipes: no terminal width to fit
    table = Table(title=Text(str(report.fixtures)), title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    lines = [(f"  {row.family}", str(row.tensors or "-"), number(row.max_error), number(row.tolerance)) for row in report.rows]
    widths = [max(map(len, cells)) for cells in zip(COLUMNS[:-1], *lines, strict=True)] + [len(CheckStatus.UNCHECKED.value)]
    names = max(console.width - sum(widths[1:]) - 3 * len(COLUMNS), 12)  # in a narrow terminal these are cut short, numbers never
    for column, width in zip(COLUMNS, [min(widths[0], names), *widths[1:]], strict=True):
        table.add_column(column, justify="left" if column in LEFT else "right", width=width, no_wrap=True)
    file = None
    for row, line in zip(report.rows, lines, strict=True):
        if row.file != file:
            table.add_row(Text(visible(row.file), style="bold"))
            file = row.file
        table.add_row(*(Text(visible(cell)) for cell in line), Text(row.verdict.value, style=STYLES[row.verdict]))
    console.print(table)
    for status in (CheckStatus.UNCHECKED, CheckStatus.MISS):
        for reason, files in _reasons(report.rows, status).items():
            where = files[0] if len(set(files)) == 1 else f"{len(files)} files"
            console.print(Text(visible(f"{status.value}: {where}: {reason}")))
    console.print(Text(counts(report.rows)))


def counts(rows: tuple[FamilyResult, ...]) -> str:
    """Such as "41 ok, 1 MISS, 2 not checked"."""
    return ", ".join(f"{sum(row.verdict is status for row in rows)} {status.value}" for status in CheckStatus)


def number(value: float | None) -> str:
    """Two digits; what is exactly 0 is shown as 0."""
    if value is None:
        return "-"
    return "0" if value == 0 else f"{value:.2g}"


def _reasons(rows: tuple[FamilyResult, ...], status: CheckStatus) -> dict[str, list[str]]:
    """Files by reason."""
    files: dict[str, list[str]] = {}
    for row in rows:
        if row.verdict is status and row.reason:
            files.setdefault(row.reason, []).append(row.file)
    return files
