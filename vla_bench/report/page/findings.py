"""What the runs show, in one sentence each: the head of the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vla_bench.metrics import MEAN
from vla_bench.report.compared_cells import cost_metrics, decided
from vla_bench.report.compared_notes import interval_name
from vla_bench.report.forest import points
from vla_bench.report.rate_cells import rate_cell, run_notes
from vla_bench.results.comparison import ComparedRun, compare_runs
from vla_bench.results.evidence import Verdict
from vla_bench.results.reported import ReportedRun, comparable_groups
from vla_bench.stats import Difference
from vla_bench.values import Population

SAYS = {
    Verdict.LOWER: "succeeds less often than",
    Verdict.HIGHER: "succeeds more often than",
    Verdict.OPEN: "is not separated from",
    Verdict.ERRORS: "has too many errors for a verdict against",
}
SIGNS = {Verdict.LOWER: "▼", Verdict.HIGHER: "▲", Verdict.OPEN: "●", Verdict.ERRORS: "✕"}
EMPTY = "no episode has ended without an error"


@dataclass(frozen=True)
class Bar:
    """An interval as drawn: places of its ends, its value and of no difference, in percent of the width."""

    low: float
    value: float
    high: float
    zero: float


@dataclass(frozen=True)
class Finding:
    """kind: the verdict's name, for its colour.  sign: the verdict as a shape.  numbers, cost: what it rests on."""

    run: str
    kind: str
    sign: str
    says: str
    numbers: str
    cost: str = ""
    bar: Bar | None = None


@dataclass(frozen=True)
class Findings:
    """of: what all differences are of, and the scale of the bars.

    apart: runs that cannot be compared with the first, and why.  notes: of single runs.
    """

    found: list[Finding]
    of: str
    apart: list[str]
    notes: list[str]


def findings(runs: Sequence[ReportedRun]) -> Findings:
    """The runs against the first of their group; a run that can be compared with no other by itself.  Raises nothing."""
    found: list[Finding] = []
    apart: list[str] = []
    groups = comparable_groups(runs)
    compared = [compare_runs([run.pathed for run in group]) for group, _ in groups if len(group) > 1]
    span = _span([gap for rows in compared for row in rows[1:] if (gap := decided(row)) is not None])
    rows_of = {rows[0].name: rows for rows in compared}
    for group, reason in groups:
        if reason is not None:
            names = ", ".join(run.name for run in group)
            apart.append(f"{names}: not comparable with {runs[0].name}. {reason.message}")
        if len(group) == 1:
            found.append(_alone(group[0]))
        else:
            rows = rows_of[group[0].name]
            found += [_against(row, rows[0], span) for row in rows[1:]]
    return Findings(found, _of(compared, span), apart, run_notes(runs)[1:])


def _of(compared: Sequence[Sequence[ComparedRun]], span: tuple[float, float]) -> str:
    if not compared:
        return ""
    scale = f"Bars run from {100 * span[0]:+.1f} to {100 * span[1]:+.1f} points; the dashed line is no difference."
    family = max(rows[0].family for rows in compared)
    return f"Differences on {Population.INIT_STATES.words}, paired by init state; {interval_name(family)}. {scale}"


def _alone(run: ReportedRun) -> Finding:
    rate = run.row.rate
    if rate.rate is None:
        return Finding(run.name, "errors", SIGNS[Verdict.ERRORS], "has no success rate:", EMPTY)
    return Finding(run.name, "alone", "–", "succeeds in", f"{rate_cell(rate)} % of {rate.n} init states", _cost(run.row, None))


def _against(row: ComparedRun, base: ComparedRun, span: tuple[float, float]) -> Finding:
    verdict, gap = row.verdict, decided(row)
    if verdict is None or row.pairs is None or row.base is None:
        raise ValueError(f"{row.name} has no pairs")
    numbers = f"{rate_cell(row.base)} % to {rate_cell(row.rate)} %, n = {row.rate.n} paired init states"
    if gap is not None:
        numbers = f"{points(gap)} points, p = {row.p:.2g}; {numbers}"
    says = f"{SAYS[verdict]} {base.name}"
    return Finding(row.name, verdict.name.lower(), SIGNS[verdict], says, numbers, _cost(row, base), gap and _bar(gap, span))


def _cost(row: ComparedRun, base: ComparedRun | None) -> str:
    """Mean costs of a query, with the change from the first run's."""
    texts = []
    for metric in cost_metrics([row]):
        before, now = base and base.metrics.get(metric.key(MEAN)), row.metrics.get(metric.key(MEAN))
        change = "" if now is None or not before else f" ({100 * (now / before - 1):+.0f} %)"
        texts.append(f"{metric.cell(row.metrics)} {'image tokens' if metric.unit == 'tokens' else metric.unit}{change}")
    return ", ".join(texts) + " a query" if texts else ""


def _span(gaps: Sequence[Difference]) -> tuple[float, float]:
    """Of the common scale, with zero on it."""
    low, high = min([0.0, *(gap.low for gap in gaps)]), max([0.0, *(gap.high for gap in gaps)])
    room = 0.08 * (high - low) or 0.01
    return low - room, high + room


def _bar(gap: Difference, span: tuple[float, float]) -> Bar:
    low, high = span
    places = (100 * (value - low) / (high - low) for value in (gap.low, gap.value, gap.high, 0.0))
    return Bar(*(round(place, 2) for place in places))
