"""Milliseconds of a query by stage, one bar a run or timed variant."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vla_bench.metrics import MEAN, METRICS
from vla_bench.report.figure import COLOURS, PAGE, Figure, Row, number
from vla_bench.report.timing_tables import TimedVariant, stage_data
from vla_bench.results.reported import ReportedRun

STAGES = ("preprocess", "vision", "prune", "decoder", "head")  # in the order of a query
HATCHES = ("", "///", "...", "", "xxx", "\\\\\\")  # neighbours differ without colour, too
LABELLED = 0.08  # least share of the longest bar that has room for its number


def run_stages(runs: Sequence[ReportedRun]) -> Figure | None:
    """None where no run was timed by stage."""
    keys = {stage: f"{stage}_ms" for stage in STAGES}
    keys = {stage: metric.key(MEAN) for stage, name in keys.items() for metric in METRICS if metric.name == name}
    rows: list[Row] = []
    for run in runs:
        times = {stage: ms for stage, key in keys.items() if (ms := run.totals.get(key)) is not None}
        if "vision" in times:
            rows.append({"label": run.name, "device": run.device, **stage_data(times)})
    if not rows:
        return None
    caption = (
        "Mean milliseconds of a query's share of its batch by stage, while simulators ran on the same machine: where the time "
        "goes, and no benchmark."
    )
    return Figure("stages", "Time of a query by stage", caption, rows, partial(draw, about="mean ms a query"))


def timed_stages(timed: Sequence[TimedVariant]) -> Figure | None:
    """Medians of `vla-bench latency`; None without any."""
    if not timed:
        return None
    several = len({each.file for each in timed}) > 1
    rows = [
        {"label": f"{each.file} {each.name}" if several else each.name, "device": each.device, **stage_data(each.stages)}
        for each in timed
    ]
    machines = " and ".join(dict.fromkeys(f"{each.device}, {each.dtype}" for each in timed))
    caption = (
        f"Median milliseconds by stage on {machines}, one query at a time; stages below a tenth of a millisecond are left out."
    )
    return Figure("latency-stages", "Time of a query by stage", caption, rows, partial(draw, about="median ms a query"))


def draw(rows: Sequence[Row], about: str):
    """Stages from left to right in the order of a query; those that nothing takes are left out."""
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(key for row in rows for key in row if key.endswith("_ms")))
    names = [key for key in names if any(number(row.get(key) or 0) >= 0.1 for row in rows)]
    order = [f"{stage}_ms" for stage in STAGES]
    names.sort(key=lambda key: order.index(key) if key in order else len(order))
    figure, panel = plt.subplots(figsize=(PAGE, 0.8 + 0.36 * len(rows)), layout="constrained")
    longest = max(sum(number(row.get(key) or 0) for key in names) for row in rows)
    left = [0.0] * len(rows)
    for place, key in enumerate(names):
        times = [number(row.get(key) or 0) for row in rows]
        look = {
            "color": COLOURS[place % len(COLOURS)],
            "hatch": HATCHES[place % len(HATCHES)],
            "edgecolor": "white",
            "linewidth": 0.5,
        }
        panel.barh(range(len(rows)), times, left=left, height=0.66, label=key.removesuffix("_ms"), **look)
        for y, ms in enumerate(times):
            if ms >= LABELLED * longest:
                box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
                panel.text(left[y] + ms / 2, y, f"{ms:.1f}", ha="center", va="center", bbox=box)
        left = [start + ms for start, ms in zip(left, times, strict=True)]
    for y, total in enumerate(left):
        panel.text(total + 0.01 * longest, y, f"{total:.1f}", va="center")
    panel.set_yticks(range(len(rows)), [str(row["label"]) for row in rows])
    panel.set(ylim=(len(rows) - 0.4, -0.6), xlabel=about, xlim=(0, 1.09 * longest))
    panel.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=len(names), handletextpad=0.4, columnspacing=1.2)
    return figure
