"""What `vla-bench ablate` prints."""

from __future__ import annotations

import sys

from vla_bench.report.compared import print_around, print_forest, print_runs
from vla_bench.report.compared_cells import comparison_table
from vla_bench.terminal import show


def print_ablation(ablation) -> None:
    """The comparison beside the paper's numbers, of its own models and assets; for an incomplete run, how to resume it."""
    say = lambda text: show(text, file=sys.stderr)  # noqa: E731
    if ablation.rows:
        columns, rows = comparison_table(ablation.rows)
        published = [f"{each.success} %" + ("" if each.tokens is None else f", {each.tokens}") for each in ablation.published]
        rows = [[*row, paper] for row, paper in zip(rows, published, strict=True)]
        print_runs(ablation.rows, ((*columns, "paper"), rows))
        print_forest(ablation.rows)
        print_around(ablation.rows)
        say("paper: its 7B on LIBERO's own assets, 2,000 episodes; tokens kept of 512")
    if ablation.exit_code:
        say(f"stopped at  {ablation.last.run_dir}\nresume      {ablation.last.command}")
