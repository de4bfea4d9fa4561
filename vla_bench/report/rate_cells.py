"""Cells that tables of rates share: a rate with its interval, image tokens with their spread, and what a run's n is."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.metrics import METRICS, Metric, Values
from vla_bench.report.compared_notes import SURE, warnings
from vla_bench.results.comparison import ComparedRun
from vla_bench.results.reported import ReportedRun
from vla_bench.results.stopped import STOPPED
from vla_bench.stats import Rate
from vla_bench.values import Population

TOKENS = next(metric for metric in METRICS if metric.name == "kept_tokens")
GFLOPS = next(metric for metric in METRICS if metric.name == "gflops")
POLICY_MS = next(metric for metric in METRICS if metric.name == "policy_ms")


def rate_cell(rate: Rate | None) -> str:
    """In percent, with the interval."""
    if rate is None or rate.rate is None or rate.low is None or rate.high is None:
        return "-"
    return f"{100 * rate.rate:.1f} [{100 * rate.low:.1f}, {100 * rate.high:.1f}]"


def n_cell(row: ComparedRun) -> str:
    """Init states; as 320/2000 where more are planned."""
    return f"{row.rate.n}/{'?' if row.planned is None else row.planned}" if row.partial else str(row.rate.n)


def rate_data(name: str, rate: Rate | None) -> dict[str, object]:
    """`NAME`, `NAME_low`, `NAME_high` and `NAME_n`."""
    if rate is None:
        return {}
    return {name: rate.rate, f"{name}_low": rate.low, f"{name}_high": rate.high, f"{name}_n": rate.n}


def metric_data(metric: Metric, values: Values, name: str | None = None) -> dict[str, object]:
    """The metric's statistics of a group, by their JSON keys; name: instead of the metric's own."""
    return {f"{name or metric.name}_{statistic.value}": values.get(metric.key(statistic)) for statistic in metric.group}


def run_notes(runs: Sequence[ReportedRun]) -> list[str]:
    """Of what the rates speak, and what a reader should know of single runs before believing one."""
    lines = [f"rates are about {Population.INIT_STATES.words}, in percent, with {SURE} Wilson intervals; n counts init states"]
    lines += warnings([run.row for run in runs]) if runs else []
    for run in runs:
        if run.row.rate.rate is None:
            lines.append(f"{run.name}: no episode has ended without an error")
        elif run.errors:
            verdict = "" if run.covered else ", too many for a verdict"
            lines.append(f"{run.name}: {run.errors} of {len(run.found)} init states ended in errors{verdict}; they are not in n")
        if run.summary["status"] == STOPPED:
            lines.append(f"{run.name} was stopped early because of its outcomes: its rate is no estimate; it has no differences")
        counts = {suite: rate.n for suite, rate in run.row.suites.items()}
        if len(set(counts.values())) > 1:
            lines.append(f"{run.name}: n by suite: " + ", ".join(f"{suite} {n}" for suite, n in counts.items()))
    return lines
