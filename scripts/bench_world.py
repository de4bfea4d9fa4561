"""The cost of rendering: control steps a second with renders at every step and at every 8th, and the time of two camera
views on each asset pack.  The variants are interleaved, so that a drift of speed affects both.

    python scripts/bench_world.py --assets official --suite object --task 0
"""

from __future__ import annotations

import os
import statistics
import time
from typing import Annotated

import numpy as np
import typer

from vla_bench.suites import load_suite
from vla_bench.world.assets import resolve_assets
from vla_bench.world.env import World
from vla_bench.world.gl import choose_gl
from vla_bench.world.observation import Sight


def episode(world: World, actions: np.ndarray, every: int, chunk: int) -> tuple[float, list]:
    """Seconds for `actions` with a render every `every` steps, and (observation, state) at the query steps."""
    world.reset(0)
    at_queries = []
    started = time.perf_counter()
    for i, action in enumerate(actions, 1):
        _, observation = world.step(action, Sight.IMAGES if i % every == 0 else Sight.NOTHING)
        if i % chunk == 0:
            at_queries.append((observation, world.state))
    return time.perf_counter() - started, at_queries


def same(a: list, b: list) -> bool:
    """Whether two runs had equal states and equal images at every query step."""
    return len(a) == len(b) and all(
        np.array_equal(s, t) and all(np.array_equal(o.images[name], p.images[name]) for name in o.images)
        for (o, s), (p, t) in zip(a, b, strict=True)
    )


def two_views(world: World) -> float:
    """Seconds for rendering every camera once."""
    started = time.perf_counter()
    world.render()
    return time.perf_counter() - started


def main(
    assets: Annotated[str, typer.Option(help="The pack of meshes.")],
    suite: str = "object",
    task: int = 0,
    steps: int = 80,
    rounds: int = 5,
):
    gl = choose_gl()
    os.environ.update(gl.environment())
    protocol = load_suite(suite)
    worlds = {spec: World(protocol, resolve_assets(spec)) for spec in (assets, "primitive")}
    for world in worlds.values():
        world.start(protocol.task(task))
    actions = np.random.default_rng(0).uniform(-0.3, 0.3, (steps, 7))
    print(f"{gl.backend}, {gl.renderer}; {suite}/{task}; medians of {rounds} interleaved rounds of {steps} steps")

    for spec, world in worlds.items():
        episode(world, actions[:8], 1, protocol.chunk)  # warm-up
        every_step, at_query = [], []
        for _ in range(rounds):
            seconds, expected = episode(world, actions, 1, protocol.chunk)
            every_step.append(seconds)
            seconds, result = episode(world, actions, protocol.chunk, protocol.chunk)
            at_query.append(seconds)
            if not same(expected, result):
                raise SystemExit(f"{spec}: states or images differ")
        ratios = [a / b for a, b in zip(every_step, at_query, strict=True)]
        print(
            f"{world.assets.name:16} every step {steps / statistics.median(every_step):6.1f} steps/s   every {protocol.chunk}th "
            f"{steps / statistics.median(at_query):6.1f} steps/s   ratio {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})   same states, same images"
        )

    views: dict[str, list[float]] = {spec: [] for spec in worlds}
    for _ in range(20):
        for spec, world in worlds.items():
            views[spec].append(two_views(world))
    cost = {spec: statistics.median(times) for spec, times in views.items()}
    for spec, world in worlds.items():
        print(f"{world.assets.name:16} two {protocol.image_size}x{protocol.image_size} views {1000 * cost[spec]:6.1f} ms")
    print(f"primitive costs 1/{cost[assets] / cost['primitive']:.1f} of {worlds[assets].assets.name}")
    for world in worlds.values():
        world.close()


if __name__ == "__main__":
    typer.run(main)
