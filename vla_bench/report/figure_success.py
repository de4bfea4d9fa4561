"""Success against cost, as the paper's Figure 1: image tokens, FLOPs and milliseconds, each run with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vla_bench.metrics import MEAN
from vla_bench.report.compared_notes import SURE
from vla_bench.report.figure import COLUMN, PAGE, Figure, Row, mark, number
from vla_bench.report.rate_cells import GFLOPS, POLICY_MS, TOKENS
from vla_bench.results.reported import ReportedRun
from vla_bench.values import Population, Scope

AXES = {
    TOKENS.key(MEAN): "image tokens kept",
    GFLOPS.key(MEAN): "GFLOP a query",
    POLICY_MS.key(MEAN): "ms a query",
}
SIZE, LINE = 6.5, 2.0  # points: of a marker, and between two intervals
HEIGHT = 2.7  # inches, without the legend
NEAR = 0.06  # of the largest cost: how far a run may be moved aside


def success_figure(runs: Sequence[ReportedRun]) -> Figure | None:
    """None where no run has both a rate and a cost."""
    rows = success_rows(runs)
    if not rows:
        return None
    aside = f" Runs that would cover each other stand aside by up to {100 * NEAR:g} % of the largest cost; the CSV has values."
    return Figure("success-against-cost", "Success against cost", caption(runs, rows) + aside, rows, draw)


def success_rows(runs: Sequence[ReportedRun]) -> list[Row]:
    """Rate and costs of the runs that have both; milliseconds only where all ran on one machine."""
    rows = [row for run in runs if (row := _row(run)) is not None]
    if len(_machines(runs)) != 1:
        rows = [row | {POLICY_MS.key(MEAN): None} for row in rows]
    return rows


def _machines(runs: Sequence[ReportedRun]) -> list[str]:
    return sorted({run.device for run in runs if _row(run) is not None})


def caption(runs: Sequence[ReportedRun], rows: Sequence[Row]) -> str:
    """Of what rates and costs are."""
    ns = sorted({int(number(row["n"])) for row in rows})
    machines = _machines(runs)
    if any(row[POLICY_MS.key(MEAN)] is not None for row in rows):
        times = f"Milliseconds: a query's share of its batch, on {machines[0] or 'one machine'} beside simulators; no benchmark."
    else:
        times = f"Milliseconds are left out: they are of several machines ({', '.join(machines)})." if len(machines) > 1 else ""
    many = str(ns[0]) if len(ns) == 1 else f"{ns[0]} to {ns[-1]}"
    return (
        f"Success rate about {Population.INIT_STATES.words} with {SURE} Wilson intervals, n = {many} init states a run, against "
        f"the mean cost of a query. FLOPs: scope {Scope.MODEL}, one multiply-add is two. {times}"
    ).rstrip()


def _row(run: ReportedRun) -> Row | None:
    rate, metrics = run.row.rate, run.row.metrics
    costs = {key: metrics.get(key) for key in AXES}
    if rate.rate is None or costs[TOKENS.key(MEAN)] is None:
        return None
    return {"run": run.name, "n": rate.n, "success": rate.rate, "low": rate.low, "high": rate.high, **costs}


def draw(rows: Sequence[Row]):
    """One panel a cost that any run has."""
    import matplotlib.pyplot as plt

    known = [key for key in AXES if any(row[key] is not None for row in rows)]
    names = -(-len(rows) // (3 if len(known) > 1 else 1))  # lines of the legend
    width = PAGE if len(known) > 1 else COLUMN
    figure, panels = plt.subplots(
        1, len(known), figsize=(width, HEIGHT + 0.16 * names), sharey=True, squeeze=False, layout="constrained"
    )
    for panel, key in zip(panels[0], known, strict=True):
        own = [(place, row) for place, row in enumerate(rows) if row[key] is not None]
        largest = max(number(row[key]) for _, row in own)
        panel.set(xlabel=AXES[key], xlim=(0, 1.12 * largest), ylim=(-2, 102))
        wide = 1.12 * largest / (72 * width / len(known) * 0.8)  # a point, in units of the axis
        tall = 104 / (72 * HEIGHT * 0.85)
        found = [Mark(number(row[key]), *(100 * number(row[name]) for name in ("success", "low", "high"))) for _, row in own]
        for at, (place, row) in zip(apart(found, NEAR * largest, SIZE * wide, SIZE * tall, LINE * wide), own, strict=True):
            error = [[at.y - at.low], [at.high - at.y]]
            label = str(row["run"]) if key == known[0] else None
            panel.errorbar(at.x, at.y, yerr=error, linestyle="", capsize=0, elinewidth=0.9, label=label, **mark(place))
    panels[0][0].set_ylabel(f"success rate, % ({SURE} interval)")
    figure.legend(loc="outside lower center", ncols=3 if len(known) > 1 else 1, handletextpad=0.3, columnspacing=1.2)
    return figure


@dataclass(frozen=True)
class Mark:
    """Where a run is drawn: cost, rate, and both ends of its interval."""

    x: float
    y: float
    low: float
    high: float


def apart(marks: Sequence[Mark], most: float, wide: float, tall: float, line: float) -> list[Mark]:
    """The marks, moved sideways as little as keeps markers and intervals from covering each other, and by `most` at most.

    wide, tall: of a marker, in the units of the axes.  line: least distance of two intervals that overlap in height.
    """
    steps = [sign * line / 2 * step for step in range(int(2 * most / line) + 1) for sign in (1, -1)]
    placed: dict[int, Mark] = {}
    for place in sorted(range(len(marks)), key=lambda place: (marks[place].x, marks[place].y)):
        tried = [replace(marks[place], x=marks[place].x + step) for step in steps]
        # Where there is no room for all intervals side by side, at least for all markers.
        free = (
            one
            for least in (line, line / 2, 0.0)
            for one in tried
            if not any(_covers(one, other, wide, tall, least) for other in placed.values())
        )
        placed[place] = next(free, marks[place])
    return [placed[place] for place in range(len(marks))]


def _covers(one: Mark, other: Mark, wide: float, tall: float, line: float) -> bool:
    off = abs(one.x - other.x)
    return (off < wide and abs(one.y - other.y) < tall) or (off < line and one.low < other.high and other.low < one.high)
