"""A run's results as a table: one row a task, one a suite, one for all."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.metrics import Metric, shown
from vla_bench.results.summary import Group, Summary
from vla_bench.stats import Rate

BEFORE = ("suite", "task", "instruction", "n", "success", "%", "95 % CI", "steps")


def result_table(summary: Summary, instructions: dict[tuple[str, int], str]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Columns, and one row a task, one a suite, and one for all where there is more than one suite.

    n counts init states, with their repeats averaged.
    Between steps and errors are the metrics of `vla_bench.metrics` that the policy reported, over all queries.
    """
    metrics = shown([summary.total.metrics])
    rows = []
    for name, suite in summary.suites.items():
        own = {task: group for (of, task), group in summary.tasks.items() if of == name}
        rows += [_row(name, str(task), instructions.get((name, task), ""), group, metrics) for task, group in own.items()]
        rows.append(_row(name, "all", "", suite, metrics))
    if len(summary.suites) > 1:
        rows.append(_row("all", "", "", summary.total, metrics))
    return (*BEFORE, *(metric.column for metric in metrics), "errors"), rows


def _row(suite: str, task: str, instruction: str, group: Group, metrics: Sequence[Metric]) -> list[str]:
    rate = group.rate
    if rate.rate is None:
        percent, interval = "-", "-"
    else:
        percent, interval = f"{100 * rate.rate:.1f}", f"{100 * rate.low:.1f} - {100 * rate.high:.1f}"
    steps = "-" if group.steps_mean is None else f"{group.steps_mean:.0f}"
    cells = [metric.cell(group.metrics) for metric in metrics]
    return [suite, task, instruction, str(rate.n), successes(rate), percent, interval, steps, *cells, str(group.errors)]


def successes(rate: Rate) -> str:
    """Their number, with a decimal only where repeats ended differently."""
    return f"{rate.successes:.{0 if rate.successes == int(rate.successes) else 1}f}"
