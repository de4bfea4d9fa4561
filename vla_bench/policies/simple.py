"""Policies that do not use their observations: a lower bound for any model."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from vla_bench.policies.base import ACTION_DIM, Chunk, Policy
from vla_bench.records import EpisodeKey
from vla_bench.world.observation import Observation, Sight

CHUNK = 8


class NoopPolicy(Policy):
    """Does not move; the gripper is open."""

    name = "noop"
    sight = Sight.STATE

    def act(self, observations: Sequence[Observation]) -> list[Chunk]:
        still = np.zeros((CHUNK, ACTION_DIM))
        still[:, -1] = -1.0
        return [Chunk(still.copy()) for _ in observations]


class RandomPolicy(Policy):
    """Uniform actions in [-1, 1], seeded by (seed, episode), so that an episode does not depend on the order."""

    name = "random"
    sight = Sight.STATE
    takes = ("seed",)

    def __init__(self, seed: int = 0):
        self.seed = seed
        self._generators: dict[EpisodeKey, np.random.Generator] = {}

    def reset(self, episode: EpisodeKey) -> None:
        self._generators[episode] = np.random.default_rng([self.seed, zlib.crc32(str(episode).encode())])

    def act(self, observations: Sequence[Observation]) -> list[Chunk]:
        return [Chunk(self._generators[o.episode].uniform(-1.0, 1.0, (CHUNK, ACTION_DIM))) for o in observations]
