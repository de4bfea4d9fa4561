"""A run's results as a table: a row a task, a suite, and all."""

from __future__ import annotations

from vla_bench.results.summary import Group, Summary
from vla_bench.tables import without_column

COLUMNS = ("suite", "task", "instruction", "n", "success", "%", "95 % CI", "steps", "tokens", "GFLOP", "ms", "errors")
OF_A_MODEL = ("tokens", "GFLOP", "ms")  # shown where a model kept image tokens


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
            columns, rows = without_column(column, columns, rows)
    return columns, rows


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
