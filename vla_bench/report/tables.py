"""Tables for the terminal and for Markdown, from one list of rows."""

from __future__ import annotations

import sys
from collections.abc import Collection

from vla_bench.report.summary import Group, Summary

COLUMNS = ("suite", "task", "instruction", "n", "success", "%", "95 % CI", "steps", "tokens", "GFLOP", "ms", "errors")
OF_A_MODEL = ("tokens", "GFLOP", "ms")  # shown where a model kept image tokens
LEFT = set("suite instruction model kind suites weights pruner acts needs source variant run verdict".split()) | {"unnorm key"}
PROSE = {"acts", "needs", "source"}  # folded where the terminal is narrow, so that names stay whole
LEAST_WORDS = 20  # characters below which a cut instruction says nothing


def result_table(summary: Summary, instructions: dict[tuple[str, int], str]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Columns, and one row a task, one a suite, and one for all where there is more than one suite.

    "tokens", "GFLOP" and "ms" are means per query: image tokens kept, cost in the scope `model`, time in the policy; a
    policy without image tokens has no such columns.
    """
    rows = []
    for name, suite in summary.suites.items():
        rows += [_row(name, str(t), instructions.get((s, t), ""), g) for (s, t), g in summary.tasks.items() if s == name]
        rows.append(_row(name, "all", "", suite))
    if len(summary.suites) > 1:
        rows.append(_row("all", "", "", summary.total))
    columns = COLUMNS
    if summary.total.kept_tokens_mean is None:
        for column in OF_A_MODEL:
            columns, rows = _without(column, columns, rows)
    return columns, rows


def _without(column: str, columns: tuple[str, ...], rows: list[list[str]]) -> tuple[tuple[str, ...], list[list[str]]]:
    place = columns.index(column)
    return columns[:place] + columns[place + 1 :], [row[:place] + row[place + 1 :] for row in rows]


def _row(suite: str, task: str, instruction: str, group: Group) -> list[str]:
    rate = group.rate
    if rate.rate is None:
        percent, interval = "-", "-"
    else:
        percent, interval = f"{100 * rate.rate:.1f}", f"{100 * rate.low:.1f} - {100 * rate.high:.1f}"
    steps = "-" if group.steps_mean is None else f"{group.steps_mean:.0f}"
    tokens = "-" if group.kept_tokens_mean is None else f"{group.kept_tokens_mean:.1f}"
    gflops = "-" if group.gflops_mean is None else f"{group.gflops_mean:.{1 if group.gflops_mean > 100 else 3}f}"
    ms = "-" if group.policy_ms_mean is None else f"{group.policy_ms_mean:.1f}"
    cells = [str(rate.n), str(rate.successes), percent, interval, steps, tokens, gflops, ms]
    return [suite, task, instruction, *cells, str(group.errors)]


def markdown(columns: tuple[str, ...], rows: list[list[str]]) -> str:
    rule = ["---" if c in LEFT else "---:" for c in columns]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [list(columns), rule, *rows]) + "\n"


def print_table(
    columns: tuple[str, ...], rows: list[list[str]], title: str = "", totals: str = "all", details: Collection[str] = ()
) -> None:
    """To standard output; rows whose first or second cell is `totals` are set off.

    details: columns that a narrow terminal goes without.  Nothing else but an instruction is ever cut short.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # for files and other programs: no folding to a terminal that is not there
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    spare = console.width - sum(widths) - 3 * len(columns)
    if spare < 0 and (left_out := [column for column in columns if column in details]):
        for column in left_out:
            columns, rows = _without(column, columns, rows)
        print_table(columns, rows, title, totals)
        return print(f"for want of width without {', '.join(left_out)}", file=sys.stderr)
    if "instruction" in columns and widths[columns.index("instruction")] + spare < LEAST_WORDS:
        return print_table(*_without("instruction", columns, rows), title, totals)
    # Numbers that do not fit even so stand closer together, and at last leave it to the terminal to break lines.
    padding = (0, 1) if spare >= 0 or "instruction" in columns else (0, 0)
    if not {"instruction", *PROSE}.intersection(columns):
        console.width = max(console.width, sum(widths) + 2 * len(columns))
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=padding)
    for column, width in zip(columns, widths, strict=True):
        # One line a row, however narrow the terminal: instructions are cut short or left out, numbers never.
        most = width + min(spare, 0) if column == "instruction" else None
        side, fit = "left" if column in LEFT else "right", "fold" if column in PROSE else "ellipsis"
        table.add_column(column, justify=side, max_width=most, overflow=fit, no_wrap=column not in PROSE)
    for row in rows:
        last = totals in row[:2]
        table.add_row(*row, style="bold" if last else None, end_section=last)
    console.print(table)
