"""Plots a training: loss and kept tokens over the steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vla_bench.training.log import read_log

POINTS = 400  # of a curve; steps between two points are averaged


def plot_log(log: Path, png: Path) -> None:
    """Plot `log.csv` to a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    rows = read_log(log)
    steps = np.array([row["step"] for row in rows])
    figure, (top, bottom) = plt.subplots(2, sharex=True, figsize=(8, 6), layout="constrained")
    for name in ("action", "gripper", "where"):
        if name in rows[0]:
            top.plot(*_smooth(steps, np.array([row[name] for row in rows])), label=name)
    top.set(ylabel="mean distance (normalised)", yscale="log")
    top.legend()
    bottom.plot(*_smooth(steps, np.array([row["kept"] for row in rows])), color="tab:green")
    bottom.set(xlabel="step", ylabel="different image tokens kept", ylim=(0, None))
    for axes in (top, bottom):
        axes.grid(alpha=0.3)
    figure.savefig(png, dpi=120)
    plt.close(figure)


def _smooth(steps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    groups = np.array_split(np.arange(len(steps)), min(POINTS, len(steps)))
    return np.array([steps[g].mean() for g in groups]), np.array([values[g].mean() for g in groups])
