"""A run's results as a table: one row a task, one a suite, one for all."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from vla_bench.metrics import Metric, shown
from vla_bench.results.summary import Group, Summary
from vla_bench.results.units import Key
from vla_bench.stats import Rate
from vla_bench.values import Population

BEFORE = ("suite", "task", "instruction", "n", "success", "%", "95 % CI", "steps")


def result_table(
    summary: Summary, instructions: Mapping[tuple[str, int], str], planned: Collection[Key] | None = None
) -> tuple[tuple[str, ...], list[list[str]]]:
    """Columns, and one row a task, one a suite, and one for all where there is more than one suite.

    n counts init states, with their repeats averaged; as 20/50 where more are planned.  planned: None where unknown.
    Between steps and errors are the metrics of `vla_bench.metrics` that the policy reported, over all queries.
    """
    metrics = shown([summary.total.metrics])
    keys = planned or ()

    def row(suite: str, task: str, instruction: str, group: Group, due: int) -> list[str]:
        return _row([suite, task, instruction], group, due, metrics)

    rows = []
    for name, suite in summary.suites.items():
        for (of, task), group in summary.tasks.items():
            if of == name:
                due = sum(key.task == (of, task) for key in keys)
                rows.append(row(name, str(task), instructions.get((of, task), ""), group, due))
        rows.append(row(name, "all", "", suite, sum(key.suite == name for key in keys)))
    if len(summary.suites) > 1:
        rows.append(row("all", "", "", summary.total, len(keys)))
    return (*BEFORE, *(metric.column for metric in metrics), "errors"), rows


def result_notes(summary: Summary, planned: Collection[Key] | None = None) -> list[str]:
    """Of what the rates speak, and how much of the plan they lack."""
    lines = [f"rates are about {Population.INIT_STATES.words}, with 95 % Wilson intervals; n counts init states"]
    n, due = summary.total.rate.n, len(planned or ())
    if n < due:
        lines.append(f"{n} of {due} planned init states have ended without an error; those that are missing may be failures")
    if any(metric.unit == "ms" for metric in shown([summary.total.metrics])):
        lines.append("ms: of the policy in this evaluation, beside its simulators; for a benchmark: vla-bench latency")
    return lines


def _row(names: list[str], group: Group, planned: int, metrics: Sequence[Metric]) -> list[str]:
    rate = group.rate
    if rate.rate is None:
        percent, interval = "-", "-"
    else:
        percent, interval = f"{100 * rate.rate:.1f}", f"{100 * rate.low:.1f} - {100 * rate.high:.1f}"
    steps = "-" if group.steps_mean is None else f"{group.steps_mean:.0f}"
    n = str(rate.n) if rate.n >= planned else f"{rate.n}/{planned}"
    cells = [metric.cell(group.metrics) for metric in metrics]
    return [*names, n, successes(rate), percent, interval, steps, *cells, str(group.errors)]


def successes(rate: Rate) -> str:
    """Their number, with a decimal only where repeats ended differently."""
    return f"{rate.successes:.{0 if rate.successes == int(rate.successes) else 1}f}"
