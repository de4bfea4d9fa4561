"""The expert as a policy: one arm and one running plan per episode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vla_bench.policies.base import ACTION_DIM, Chunk, Policy
from vla_bench.policies.expert.motions import OPEN, Arm, Motion
from vla_bench.policies.expert.plans import solve
from vla_bench.records import EpisodeKey
from vla_bench.world.observation import Observation, Sight


class Expert(Policy):
    """Solves tasks with privileged knowledge of the scene; queried before every single action."""

    name = "expert"
    sight = Sight.STATE

    def __init__(self):
        self._running: dict[EpisodeKey, tuple[Arm, Motion]] = {}

    def reset(self, episode: EpisodeKey) -> None:
        self._running.pop(episode, None)  # the plan is made from the episode's first observation

    def act(self, observations: Sequence[Observation]) -> list[Chunk]:
        return [Chunk(self._next(observation)[None]) for observation in observations]

    def _next(self, observation: Observation) -> np.ndarray:
        if observation.episode in self._running:
            arm, motion = self._running[observation.episode]
            arm.observe(observation)
        else:
            arm = Arm(observation)
            motion = solve(arm)
            self._running[observation.episode] = arm, motion
        still = np.zeros(ACTION_DIM)
        still[-1] = OPEN
        return next(motion, still)
