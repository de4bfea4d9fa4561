"""The share of the hand's tilting that remains when actions are clipped to the reference's percentiles, one line a task.

    python scripts/lab/cut_turns.py DEMOS

Actions beyond the 1st and 99th percentile of all demonstrations would be clipped to them.  A scripted expert tilts its hand in
few tasks; the figure is the share of the rotation about x and y that remains, small corrections included.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
import typer

from vla_bench.training.data import demo_files

TILT = slice(3, 5)  # of an action: rotations about x and y


def main(folder: Annotated[Path, typer.Argument(help="Demonstrations.")]) -> None:
    actions_of = {file: read(file) for file in demo_files(folder)}
    low, high = np.quantile(np.concatenate(list(actions_of.values())), [0.01, 0.99], axis=0)
    print(f"tilt from {low[TILT].round(2).tolist()} to {high[TILT].round(2).tolist()} of the largest action")
    for file, actions in actions_of.items():
        print(f"{file.parent.name}/{file.stem.removesuffix('_demo')}: {left(actions, low, high):.0%} left")


def read(file: Path) -> np.ndarray:
    """(N, 7) the actions of all demonstrations."""
    with h5py.File(file) as opened:
        return np.concatenate([demo["actions"][:] for demo in opened["data"].values()])


def left(actions: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Share of the sum of absolute tilts that remains after clipping each action."""
    clipped = np.abs(actions.clip(low, high)[:, TILT]).sum()
    return float(clipped / np.abs(actions[:, TILT]).sum())


if __name__ == "__main__":
    typer.run(main)
