"""Ambiguities of demonstrations that an L1 policy cannot learn: several ways to grasp an object, waiting before a gripper switch.

    python scripts/lab/ambiguity.py DEMOS

One line a task: for every object the shares of the grasps by way (hands within 1.5 cm of each other, relative to the object, and
within 60 degrees), and the number of equal steps before a switch, on average and at most.  L1 averages two ways to one that
grasps nothing, and of ten equal frames none shows that the gripper opens in the next.
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
STILL, TURNED, AT_REST = 1e-3, 0.01, 5e-4  # m, rad, m: motion of hand and fingers in a step below which frames look equal


def main(folder: Annotated[Path, typer.Argument(help="Demonstrations of vla-bench, which have object positions.")]) -> None:
    for file in demo_files(folder):
        grasps, waits = read(file)
        grasped = [f"{name}: {', '.join(f'{share:.0%}' for share in ways(np.array(points)))}" for name, points in grasps.items()]
        waiting = [f"{kind} after {np.mean(steps):.1f} equal steps, at most {max(steps)}" for kind, steps in waits.items()]
        print("; ".join([f"{file.parent.name}/{file.stem.removesuffix('_demo')}", *grasped, *waiting]))


def read(file: Path) -> tuple[dict[str, list[np.ndarray]], dict[str, list[int]]]:
    """By object the hand's pose (5,) at each closing; by kind of switch the equal steps before it."""
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
    """Horizontal direction (2,) of the fingers' axis, from a rotation vector."""
    angle = np.linalg.norm(rotation)
    axis = about(rotation / angle, angle)[:2, 1]
    return axis / np.linalg.norm(axis)


def run_before(still: np.ndarray, step: int) -> int:
    """Number of steps right before `step` in which nothing moved."""
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
