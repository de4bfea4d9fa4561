"""Drop by axis and run: what success loses under each kind of change, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.report.axis_tables import drop_notes, drop_table
from vla_bench.report.compared_notes import SURE
from vla_bench.report.figure import PAGE, Figure, Row, mark, number
from vla_bench.results.axes import AxisDrop

HEIGHT = 2.6  # inches, without the legend
WIDE = 0.8  # of the distance of two axes: room for the runs of one


def axes_figure(drops: Sequence[AxisDrop]) -> Figure | None:
    """One group an axis, in it one mark a run; None without drops."""
    if not drops:
        return None
    return Figure(
        "drop-by-axis", "Drop of success under change", "; ".join(drop_notes(drops)) + ".", drop_table(drops).data, draw
    )


def draw(rows: Sequence[Row]):
    """Rows as the table's."""
    import matplotlib.pyplot as plt

    axes = list(dict.fromkeys(str(row["axis"]) for row in rows))
    runs = list(dict.fromkeys(str(row["run"]) for row in rows))
    names = -(-len(runs) // 3)  # lines of the legend
    figure, panel = plt.subplots(figsize=(PAGE, HEIGHT + 0.16 * names), layout="constrained")
    for place, run in enumerate(runs):
        own = [row for row in rows if row["run"] == run]
        at = [axes.index(str(row["axis"])) + WIDE * ((place + 0.5) / len(runs) - 0.5) for row in own]
        drop, low, high = ([100 * number(row[name]) for row in own] for name in ("drop", "drop_low", "drop_high"))
        error = [[d - x for d, x in zip(drop, low, strict=True)], [x - d for d, x in zip(drop, high, strict=True)]]
        panel.errorbar(at, drop, yerr=error, linestyle="", capsize=2, elinewidth=0.9, label=run, **mark(place))
    panel.axhline(0, color="black", linewidth=0.8)
    panel.set_xticks(range(len(axes)), axes)
    panel.set(xlim=(-0.5, len(axes) - 0.5), xlabel="what is changed", ylabel=f"changed less original, points\n({SURE} interval)")
    panel.grid(axis="x", visible=False)
    figure.legend(loc="outside lower center", ncols=3, handletextpad=0.3, columnspacing=1.2)
    return figure
