"""What `vla-bench ablate` prints."""

from __future__ import annotations

import sys

from vla_bench.report.compared import print_around, print_forest, print_runs
from vla_bench.report.compared_cells import comparison_table, percent
from vla_bench.report.sweep import print_sweep_end
from vla_bench.tables import print_table


def print_ablation(ablation) -> None:
    """The comparison and its suites beside the paper's numbers, of its own models and assets; how to resume an incomplete run."""
    say = lambda text: print(text, file=sys.stderr)  # noqa: E731
    if ablation.rows:
        columns, rows = comparison_table(ablation.rows)
        rows = [[*row, _mean(paper)] for row, paper in zip(rows, ablation.published, strict=True)]
        print_runs(ablation.rows, ((*columns, "paper"), rows))
        print_table(*suites_table(ablation), title="success by suite in percent, in parentheses the paper's")
        print_forest(ablation.rows)
        print_around(ablation.rows)
        say("paper: its 7B on LIBERO's own assets, 500 episodes a suite; tokens kept of 512")
    if ablation.untrained:
        say(f"no weights  {', '.join(ablation.untrained)}: these positions of Table V are left out")
    print_sweep_end(ablation.sweep)


def suites_table(ablation) -> tuple[tuple[str, ...], list[list[str]]]:
    """Columns, and one row a run: of each suite the rate, and the paper's behind it where it has one."""
    suites = list(dict.fromkeys(name for row in ablation.rows for name in row.suites))
    rows = []
    for row, paper in zip(ablation.rows, ablation.published, strict=True):
        own = [percent(row.suites[suite]) if suite in row.suites else "-" for suite in suites]
        theirs = [f" ({paper.suites[suite]})" if suite in paper.suites else "" for suite in suites]
        rows.append([row.name, *map("".join, zip(own, theirs, strict=True))])
    return ("run", *suites), rows


def _mean(paper) -> str:
    if paper.success is None:
        return "-"
    return f"{paper.success} %" + ("" if paper.tokens is None else f", {paper.tokens}")
