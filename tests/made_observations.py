"""What a simulator would show, made of random pixels."""

from __future__ import annotations

import numpy as np

from vla_bench.records import EpisodeKey
from vla_bench.world.observation import Observation


def observation(
    seed: int, suite: str = "object", instruction: str = "pick up the milk and place it in the basket"
) -> Observation:
    draw = np.random.default_rng(seed)
    frames = {name: draw.integers(0, 256, (256, 256, 3), np.uint8) for name in ("agentview", "robot0_eye_in_hand")}
    quat = np.array([1.0, 0.0, 0.0, 0.0])
    place = np.array([0.1 * seed, 0.0, 1.0])
    return Observation(EpisodeKey(suite, 0, seed), 8, instruction, place, quat, np.array([0.02, -0.02]), None, frames)
