"""What an L1 policy cannot learn from demonstrations: one thing grasped in several ways, and waiting before the gripper switches.

    python scripts/lab/ambiguity.py DEMOS

A line a task: for every object the shares of the grasps by way (one way are hands within 1.5 cm of each other, as seen from the
object, and within 60 degrees), and how many steps that look alike lie before a switch, on average and at most.  The middle of
two ways is no way, and of ten frames that look alike none says that the next is the one to open in.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import h5py
import numpy as np
import typer

from vla_bench.policies.expert.motions import about
from vla_bench.training.data import demo_files

NEAR = 0.015  # m, and radians times `ARM`
ARM = 0.015  # m
STILL, TURNED, AT_REST = 1e-3, 0.01, 5e-4  # m, rad, m: less of hand and fingers in a step, and nothing can be seen to change


def main(folder: Annotated[Path, typer.Argument(help="Demonstrations of vla-bench, which say where objects are.")]) -> None:
    for file in demo_files(folder):
        grasps, waits = read(file)
        told = [f"{name}: {', '.join(f'{share:.0%}' for share in ways(np.array(points)))}" for name, points in grasps.items()]
        alike = [f"{kind} after {np.mean(steps):.1f} alike, at most {max(steps)}" for kind, steps in waits.items()]
        print("; ".join([f"{file.parent.name}/{file.stem.removesuffix('_demo')}", *told, *alike]))


def read(file: Path) -> tuple[dict[str, list[np.ndarray]], dict[str, list[int]]]:
    """By object how the hand was when it closed, (5,); by kind of switch the steps before it that look alike."""
    grasps, waits = defaultdict(list), defaultdict(list)
    with h5py.File(file) as opened:
        for demo in opened["data"].values():
            closing = np.diff(np.sign(demo["actions"][:, 6]))
            hand, turn, fingers, objects = (
                demo[f"obs/{name}"][:] for name in ("ee_pos", "ee_ori", "gripper_states", "object_pos")
            )
            names = [str(name) for name in demo["obs/object_pos"].attrs["names"]]
            still = np.linalg.norm(np.diff(hand, axis=0), axis=1) < STILL
            still &= np.linalg.norm(np.diff(turn, axis=0), axis=1) < TURNED
            still &= np.abs(np.diff(fingers, axis=0)).max(axis=1) < AT_REST
            for step in np.flatnonzero(closing) + 1:
                waits["closes" if closing[step - 1] > 0 else "opens"].append(run_before(still, step))
                if closing[step - 1] > 0:
                    offsets = hand[step] - objects[step]
                    nearest = int(np.linalg.norm(offsets, axis=1).argmin())
                    grasps[names[nearest]].append(np.append(offsets[nearest], ARM * heading(turn[step])))
    return grasps, waits


def heading(rotation: np.ndarray) -> np.ndarray:
    """Where the fingers' axis points about the vertical, (2,), of a rotation vector."""
    angle = np.linalg.norm(rotation)
    axis = about(rotation / angle, angle)[:2, 1]
    return axis / np.linalg.norm(axis)


def run_before(still: np.ndarray, step: int) -> int:
    """How many of the steps right before `step` changed nothing."""
    moved = np.flatnonzero(~still[:step])
    return int(step - 1 - moved[-1]) if len(moved) else step


def ways(points: np.ndarray) -> list[float]:
    """Shares of points (n, d) by the cluster they belong to, the largest first."""
    shares, left = [], points
    while len(left):
        near = np.linalg.norm(left[:, None] - left[None], axis=2) < NEAR
        chosen = near[near.sum(axis=1).argmax()]
        shares.append(float(chosen.sum() / len(points)))
        left = left[~chosen]
    return shares


if __name__ == "__main__":
    typer.run(main)
