"""Success rates with intervals and what they cost, one row a run: readable where many runs cost the same."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.report.compared_notes import SURE
from vla_bench.report.figure import COLOURS, PAGE, Figure, Row, number
from vla_bench.report.figure_success import AXES, caption, success_rows
from vla_bench.results.reported import ReportedRun

ROW = 0.2  # inches


def rates_figure(runs: Sequence[ReportedRun]) -> Figure | None:
    """None where no run has both a rate and a cost."""
    rows = success_rows(runs)
    return Figure("success-and-cost", "Success and cost, run by run", caption(runs, rows), rows, draw) if rows else None


def draw(rows: Sequence[Row]):
    """The rate with its interval in the first panel, the costs as bars with their numbers in the others."""
    import matplotlib.pyplot as plt

    known = [key for key in AXES if any(row[key] is not None for row in rows)]
    shape = {"width_ratios": [2.4, *([1.0] * len(known))]}
    size = (PAGE, 0.7 + ROW * len(rows))
    figure, panels = plt.subplots(1, 1 + len(known), figsize=size, sharey=True, gridspec_kw=shape, layout="constrained")
    rates, *costs = panels
    for y, row in enumerate(rows):
        rate, low, high = (100 * number(row[name]) for name in ("success", "low", "high"))
        error = [[rate - low], [high - rate]]
        rates.errorbar(rate, y, xerr=error, color=COLOURS[0], marker="o", capsize=2, elinewidth=0.9)
    rates.set(xlim=(0, 101), xlabel=f"success rate, % ({SURE} interval)")
    for panel, key in zip(costs, known, strict=True):
        values = [None if row[key] is None else number(row[key]) for row in rows]
        largest = max(value for value in values if value is not None) or 1.0
        for y, value in enumerate(values):
            if value is not None:
                panel.barh(y, value, height=0.55, color="0.75")
                panel.text(value + 0.04 * largest, y, _text(value), va="center")
        panel.set(xlim=(0, 1.45 * largest), xlabel=AXES[key].replace(" ", "\n", 1))
        panel.set_xticks([])
        panel.tick_params(axis="y", length=0)
    rates.set_yticks(range(len(rows)), [str(row["run"]) for row in rows])
    rates.set_ylim(len(rows) - 0.4, -0.6)
    for panel in panels:
        panel.grid(axis="y", visible=False)
    return figure


def _text(value: float) -> str:
    return f"{value:.1f}" if value >= 5 else f"{value:.3f}"
