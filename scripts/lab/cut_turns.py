"""What the reference's percentiles would cut from demonstrations: how much of the hand's leaning is left, a line a task.

    python scripts/lab/cut_turns.py DEMOS

Actions beyond the 1st and 99th percentile of all demonstrations would be clipped to them.  A scripted expert leans its hand in
few tasks; the figure is the share of the turning about x and y that remains, small corrections included.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
import typer

from vla_bench.training.data import demo_files

LEANING = slice(3, 5)  # of an action: the turns about x and y


def main(folder: Annotated[Path, typer.Argument(help="Demonstrations.")]) -> None:
    found = {file: read(file) for file in demo_files(folder)}
    low, high = np.quantile(np.concatenate(list(found.values())), [0.01, 0.99], axis=0)
    print(f"leaning from {low[LEANING].round(2).tolist()} to {high[LEANING].round(2).tolist()} of the fastest")
    for file, actions in found.items():
        print(f"{file.parent.name}/{file.stem.removesuffix('_demo')}: {left(actions, low, high):.0%} left")


def read(file: Path) -> np.ndarray:
    """(N, 7) the actions of all demonstrations."""
    with h5py.File(file) as opened:
        return np.concatenate([demo["actions"][:] for demo in opened["data"].values()])


def left(actions: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """What is left of the sum of absolute leaning where each action is clipped."""
    clipped = np.abs(actions.clip(low, high)[:, LEANING]).sum()
    return float(clipped / np.abs(actions[:, LEANING]).sum())


if __name__ == "__main__":
    typer.run(main)
