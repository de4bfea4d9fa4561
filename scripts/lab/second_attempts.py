"""How often the expert needs more than one attempt at an object, task by task, from sampled starts.

    python scripts/lab/second_attempts.py --suite object,long --starts 8

An attempt fails where the object slips, and also where something keeps the hand from it, so that it never closes.  A policy that
learns from such demonstrations gets stuck in the same place: what to do next depends on how long the hand has been there.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Annotated

import typer
from grasp_sides import episode

from vla_bench.policies.expert import handling
from vla_bench.suites import load_suites
from vla_bench.world.assets import resolve_assets
from vla_bench.world.env import World
from vla_bench.world.gl import choose_gl


def main(
    suite: Annotated[str, typer.Option(help="Suites, with commas; or all.")] = "object",
    starts: int = 8,
) -> None:
    os.environ.update(choose_gl().environment())
    again: Counter[str] = Counter()
    handling.pick = counted(handling.pick, again)
    for protocol in load_suites(suite):
        world = World(protocol, resolve_assets("primitive"))
        for task in protocol.tasks:
            world.start(task)
            again.clear()
            ends = [episode(world, repeat, world.sample(seed=repeat)) for repeat in range(starts)]
            won, steps, _ = zip(*ends, strict=True)
            more = ", ".join(f"{name} {number}" for name, number in again.items()) or "none"
            print(
                f"{protocol.name} {task.id}: {sum(won)} of {starts}, {sum(steps) / starts:.0f} steps; more attempts: {more}",
                flush=True,
            )


def counted(pick: Callable, again: Counter[str]) -> Callable:
    """`pick`, which counts every attempt after the first, by object."""

    def counting(arm, name, spot, attempt=0, hold=None):
        if attempt:
            again[name] += 1
        return pick(arm, name, spot, attempt, hold)

    return counting


if __name__ == "__main__":
    typer.run(main)
