"""Whether episodes are those of LIBERO's own loop, bit for bit: one `seed(0)`, and a `reset()` before every episode.

    python scripts/check_resets.py --suite goal --tasks 7 --resets 6
    python scripts/check_resets.py --suite all --resets 7 --assets official

Compares, in the reverse order of the loop, the simulator's state and both images after the settling steps and after eight
random actions.  Ends with 1 where they differ.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import Annotated, Optional

import numpy as np
import typer

from vla_bench.rollout.selection import chosen_tasks
from vla_bench.suites import load_suites
from vla_bench.world.assets import resolve_assets
from vla_bench.world.env import DUMMY_ACTION, World
from vla_bench.world.gl import choose_gl
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import bddl_file, init_states_file, use_assets
from vla_bench.world.observation import Sight

Look = tuple[np.ndarray, ...]  # state, image of each camera


def libero_s_loop(world: World, actions: np.ndarray, resets: int) -> Iterator[tuple[Look, Look]]:
    """What LIBERO's environment of the loaded task shows in each episode, before and after `actions`."""
    from libero.libero.envs import OffScreenRenderEnv

    use_assets(world.assets.root)
    size, embedded = world.suite.image_size, world.assets.embedded
    states = read_init_states(init_states_file(world.suite, world.task))
    with contextlib.redirect_stdout(io.StringIO()):  # robosuite prints while it builds
        env = OffScreenRenderEnv(
            bddl_file_name=str(bddl_file(world.suite, world.task)),
            robots=["LowPolyPanda" if embedded else "Panda"],
            camera_heights=size,
            camera_widths=size,
        )
    if embedded:
        from vla_bench.world.primitives.quality import draw_coarsely

        env.env.set_xml_processor(draw_coarsely)

    def look(steps: np.ndarray) -> Look:
        for action in steps:
            seen, *_ = env.step(action)
        return env.get_sim_state(), *(seen[f"{camera}_image"] for camera in world.suite.cameras)

    env.seed(world.suite.env_seed)
    try:
        for k in range(resets):
            with contextlib.redirect_stdout(io.StringIO()):
                env.reset()
            env.set_init_state(states[k])
            yield look(np.tile(DUMMY_ACTION, (world.suite.settle_steps, 1))), look(actions)
    finally:
        env.close()


def our_episode(world: World, actions: np.ndarray, k: int) -> tuple[Look, Look]:
    """The same of the World's episode `k`."""
    seen, state = world.reset(k, Sight.IMAGES), world.state
    begin = state, *(seen.images[camera] for camera in world.suite.cameras)
    for action in actions[:-1]:
        world.step(action)
    _, seen = world.step(actions[-1], Sight.IMAGES)
    return begin, (world.state, *(seen.images[camera] for camera in world.suite.cameras))


def main(
    suite: str = "goal",
    tasks: Annotated[Optional[str], typer.Option(show_default="all")] = None,
    resets: int = 6,
    assets: str = "primitive",
) -> None:
    os.environ.update(choose_gl().environment())
    suites = load_suites(suite)
    pack, actions, differ = resolve_assets(assets, suites), np.random.default_rng(0).uniform(-1, 1, (8, 7)), 0
    worlds = {protocol.name: World(protocol, pack) for protocol in suites}
    for protocol, task in chosen_tasks(suites, tasks):
        world = worlds[protocol.name]
        world.start(task)
        theirs = list(libero_s_loop(world, actions, resets))
        wrong = []
        for k in reversed(range(resets)):
            ours = our_episode(world, actions, k)
            if not all(
                np.array_equal(a, b) for own, other in zip(ours, theirs[k], strict=True) for a, b in zip(own, other, strict=True)
            ):
                wrong.append(k)
        differ += len(wrong)
        print(
            f"{protocol.name}/{task.id} on {pack.name}: {f'episodes {wrong} differ' if wrong else f'{resets} episodes equal'}",
            flush=True,
        )
    for world in worlds.values():
        world.close()
    sys.exit(bool(differ))


if __name__ == "__main__":
    typer.run(main)
