"""The numbers of the page's plot: success rate and cost of each run, in all and by suite."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.metrics import MEAN, Values
from vla_bench.report.figure_success import AXES, caption, success_rows
from vla_bench.report.rate_cells import TOKENS
from vla_bench.results.reported import ReportedRun
from vla_bench.stats import Rate


def plot_data(runs: Sequence[ReportedRun]) -> dict[str, object] | None:
    """axes: the costs that any run has.  points: of runs by their place, of all suites ("") and of each.  caption.

    None where no run has both a rate and image tokens.
    """
    rows = success_rows(runs)
    if not rows:
        return None
    axes = {key: label for key, label in AXES.items() if any(row[key] is not None for row in rows)}
    points = []
    for place, run in enumerate(runs):
        groups: list[tuple[str, Rate, Values]] = [("", run.row.rate, run.row.metrics)]
        groups += [(suite, rate, run.suites.get(suite, {})) for suite, rate in run.row.suites.items()]
        points += [_point(place, *group, list(axes)) for group in groups if _known(*group[1:])]
    return {"axes": axes, "points": points, "caption": caption(runs, rows)}


def _known(rate: Rate, metrics: Values) -> bool:
    return rate.rate is not None and metrics.get(TOKENS.key(MEAN)) is not None


def _point(place: int, suite: str, rate: Rate, metrics: Values, axes: Sequence[str]) -> dict[str, object]:
    costs = {key: metrics.get(key) for key in axes}
    return {"run": place, "suite": suite, "n": rate.n, "rate": rate.rate, "low": rate.low, "high": rate.high, "costs": costs}
