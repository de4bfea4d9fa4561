"""DAgger rollouts: a learner policy acts first, so that demonstrations begin in states that it visits (Ross et al. 2011).

The expert then demonstrates how to recover there: off the path of perfect episodes, and after a grasp that missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_bench.policies.base import Policy
from vla_bench.world.observation import Observation, Sight
from vla_bench.world.protocol import Simulator

SHARE = (0.05, 0.6)  # of the horizon, after which the expert takes over


@dataclass(frozen=True)
class LearnerRollout:
    """A learner's rollout: the last observation, its control steps, and whether the goal held after them."""

    observation: Observation
    steps: int
    done: bool


def roll_out(simulator: Simulator, learner: Policy, observation: Observation, seed: int) -> LearnerRollout:
    """Let `learner` act from `observation` until a random step; an object in the gripper stays there for the expert."""
    until = round(np.random.default_rng([seed, 2]).uniform(*SHARE) * simulator.suite.horizon)
    learner.reset(observation.episode)
    steps = 0
    while True:
        actions = learner.act([observation])[0].actions[: simulator.suite.chunk]
        for number, action in enumerate(actions, 1):
            steps += 1
            stop = steps == until
            done, seen = simulator.step(action, Sight.IMAGES if stop or number == len(actions) else Sight.NOTHING)
            observation = seen or observation
            if done or stop:
                return LearnerRollout(observation, steps, done)
