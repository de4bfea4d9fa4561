"""A learner that acts first, so that demonstrations begin where its own mistakes lead (DAgger, Ross et al. 2011).

What the expert is then asked is what a learner most needs to know: what to do beside the way, and after a grasp that missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_bench.policies.base import Policy
from vla_bench.world.env import World
from vla_bench.world.observation import Observation, Sight

SHARE = (0.05, 0.6)  # of the horizon, after which the expert takes over


@dataclass(frozen=True)
class Led:
    """How far a learner came: the last look, how many steps it took, and whether that ended the episode."""

    seen: Observation
    steps: int
    over: bool


def lead(world: World, learner: Policy, seen: Observation, seed: int) -> Led:
    """Let `learner` act from `seen` until a random moment; what it holds then, the expert goes on with."""
    until = round(np.random.default_rng([seed, 2]).uniform(*SHARE) * world.suite.horizon)
    learner.reset(seen.episode)
    steps = 0
    while True:
        actions = learner.act([seen])[0].actions[: world.suite.chunk]
        for number, action in enumerate(actions, 1):
            steps += 1
            stop = steps == until
            look = Sight.IMAGES if stop or number == len(actions) else Sight.NOTHING
            done, now = world.step(action, look)
            seen = now or seen
            if done:
                return Led(seen, steps, True)
            if stop:
                return Led(seen, steps, False)
