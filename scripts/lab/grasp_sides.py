"""The expert's success when it grasps an object from each of several sides: the source of the sides in `expert/sides.py`.

    python scripts/lab/grasp_sides.py --suite spatial --task 5 --object akita_black_bowl_1 --sides 90,210,240,270

One line a side: the number of sampled starts from which the task was solved, and steps and grasps of each.  A good side needs one
grasp and about equal steps from every start; "own" is the expert's choice without an entry in the table.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from vla_bench.policies.expert.motions import CLOSE, Arm
from vla_bench.policies.expert.plans import solve
from vla_bench.policies.expert.sides import SIDES
from vla_bench.records import EpisodeKey
from vla_bench.suites import load_suite
from vla_bench.world.assets import resolve_assets
from vla_bench.world.env import World
from vla_bench.world.gl import choose_gl
from vla_bench.world.observation import Sight
from vla_bench.world.protocol import SAMPLED
from vla_bench.world.starts import Start


def main(
    suite: str = "spatial",
    task: int = 5,
    name: Annotated[str, typer.Option("--object", help="Its name in the task.")] = "akita_black_bowl_1",
    sides: Annotated[
        str, typer.Option(help="Degrees about the vertical, with commas; own: without an entry.")
    ] = "own,90,240,270",
    starts: int = 5,
) -> None:
    os.environ.update(choose_gl().environment())
    protocol = load_suite(suite)
    world = World(protocol, resolve_assets("primitive"))
    world.start(protocol.task(task))
    drawn = [world.sample(seed) for seed in range(starts)]
    for side in sides.split(","):
        SIDES.pop((suite, task, name), None)
        if side != "own":
            SIDES[suite, task, name] = float(side)
        ends = [episode(world, repeat, start) for repeat, start in enumerate(drawn)]
        won, steps, grasps = zip(*ends, strict=True)
        print(
            f"{suite} {task} {name} side {side:>4}: {sum(won)} of {starts}, steps {list(steps)}, grasps {list(grasps)}",
            flush=True,
        )


def episode(world: World, repeat: int, start: Start) -> tuple[bool, int, int]:
    """Whether the expert solved the task from `start`, in how many steps and with how many grasps."""
    arm = Arm(world.begin(EpisodeKey(world.suite.name, world.task.id, SAMPLED, repeat), start))
    won, grasps, closed, plan = False, 0, False, solve(arm)
    while not won and world.steps < world.suite.horizon and (action := next(plan, None)) is not None:
        grasps += action[6] == CLOSE and not closed
        closed = action[6] == CLOSE
        won, observation = world.step(action, Sight.STATE)
        arm.observe(observation)
    return won, world.steps, int(grasps)


if __name__ == "__main__":
    typer.run(main)
