"""Where the hand is, from an object, when the gripper first closes: the episodes of a run, replayed from their recorded actions.

    python scripts/lab/first_grasp.py RUN --suite object --task 1 --object cream_cheese_1

A policy that closes too early has the height of its approach there: too high over a flat object, it holds nothing.  Where the
gripper never closes, it is where the hand is at the end.  Runs on the primitive assets alone.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from vla_bench.records import EpisodeKey, actions_file
from vla_bench.suites import load_suite
from vla_bench.world.assets import resolve_assets
from vla_bench.world.env import World
from vla_bench.world.gl import choose_gl
from vla_bench.world.observation import Sight


def main(
    run: Path,
    suite: str = "object",
    task: int = 1,
    name: Annotated[str, typer.Option("--object", help="Its name in the task.")] = "cream_cheese_1",
) -> None:
    os.environ.update(choose_gl().environment())
    protocol = load_suite(suite)
    world = World(protocol, resolve_assets("primitive"))
    world.start(protocol.task(task))
    print("init state, solved; step of the first closing, its place in the chunk of 8; hand less object in mm: x, y, z")
    for init_state in range(50):
        file = actions_file(run, EpisodeKey(suite, task, init_state))
        if file.exists():
            print(f"{init_state:>2}", *episode(world, init_state, np.load(file), name), flush=True)


def episode(world: World, init_state: int, actions: np.ndarray, name: str) -> tuple[bool, str]:
    """Whether the task is solved, and where the gripper first closed."""
    world.reset(init_state)
    closed, offset, done = "", "", False
    for step, action in enumerate(actions):
        done, seen = world.step(action, Sight.STATE)
        x, y, z = 1000 * (seen.eef_pos - seen.scene.bodies[name].pos)
        offset = f"{x:.0f} {y:.0f} {z:.0f}"
        if action[6] > 0 and not closed:
            closed = f"step {step}, {step % 8} of 8; {offset}"
    return done, closed or f"never closed; at the end {offset}"


if __name__ == "__main__":
    typer.run(main)
