"""Forest plots: differences of paired runs with their simultaneous intervals, run by run and task by task."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vla_bench.report.compared_cells import decided, part_cells
from vla_bench.report.compared_notes import interval_name, notes
from vla_bench.report.comparison_tables import Compared
from vla_bench.report.exported import part_data, run_data
from vla_bench.report.figure import COLOURS, COLUMN, PAGE, Figure, Row, number
from vla_bench.results.evidence import Verdict
from vla_bench.values import By

LOOKS = {  # colour and marker: a verdict is not told by colour alone
    Verdict.LOWER.value: (COLOURS[1], "v"),
    Verdict.HIGHER.value: (COLOURS[0], "^"),
    Verdict.OPEN.value: ("0.45", "o"),
    Verdict.ERRORS.value: ("0.7", "x"),
}
ROW = 0.19  # inches


def run_forest(found: Compared, suffix: str = "") -> Figure | None:
    """One row a run after the first; None where none has a difference."""
    rows = [{"label": row.name, **run_data(row, found.rows)} for row in found.rows[1:] if decided(row) is not None]
    if not rows:
        return None
    name = interval_name(found.rows[0].family)
    caption = "; ".join(notes(found.rows)) + "."
    title = f"Success rate less that of {found.base}"
    return Figure(f"forest{suffix}", title, caption, rows, partial(draw, base=found.base, interval=name, width=COLUMN))


def task_forests(found: Compared, suffix: str = "") -> list[Figure]:
    """Of each run after the first one row a task."""
    figures = []
    runs = list(dict.fromkeys(part.run for part in found.tasks))
    caption = "; ".join(notes(found.rows, found.tasks, By.TASK)) + "."
    for place, run in enumerate(runs, 1):
        parts = [part for part in found.tasks if part.run == run and decided(part) is not None]
        rows = [{"label": f"{part.suite} {part.task_id}  {part_cells(part)['instruction']}", **part_data(part)} for part in parts]
        if rows:
            name = f"forest-by-task{suffix}" + (f"-{place}" if len(runs) > 1 else "")
            title = f"Success rate of {run} less that of {found.base}, task by task"
            one = partial(draw, base=found.base, interval=interval_name(found.tasks[0].family), width=PAGE)
            figures.append(Figure(name, title, caption, rows, one))
    return figures


def draw(rows: Sequence[Row], base: str, interval: str, width: float):
    """From top to bottom in their order."""
    import matplotlib.pyplot as plt

    figure, panel = plt.subplots(figsize=(width, 0.75 + ROW * len(rows) + 0.2), layout="constrained")
    seen: set[str] = set()
    for y, row in enumerate(rows):
        gap, low, high = (100 * number(row[name]) for name in ("difference", "difference_low", "difference_high"))
        verdict = str(row["verdict"])
        colour, marker = LOOKS[verdict]
        label = None if verdict in seen else verdict
        seen.add(verdict)
        error = [[gap - low], [high - gap]]
        panel.errorbar(gap, y, xerr=error, color=colour, marker=marker, linestyle="", capsize=2, elinewidth=0.9, label=label)
    panel.axvline(0, color="black", linewidth=0.8)
    panel.set_yticks(range(len(rows)), [_short(str(row["label"]), 62 if width == PAGE else 28) for row in rows])
    panel.set(ylim=(len(rows) - 0.4, -0.6), xlabel=f"difference to {base}, points\n({interval})")
    panel.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=len(seen), handletextpad=0.2, columnspacing=1.2)
    return figure


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 3].rstrip() + "..."
