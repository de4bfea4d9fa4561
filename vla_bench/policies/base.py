"""What a policy is: observations in, action chunks out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_bench.records import EpisodeKey
from vla_bench.world.observation import Observation, Sight

ACTION_DIM = 7  # dx dy dz (1.0 = 5 cm), three rotations (1.0 = 0.5 rad), gripper (-1 open, +1 close)


@dataclass(frozen=True)
class Chunk:
    """The answer to one query.

    actions: (T, 7) in [-1, 1], executed open loop before the next query.
    kept_tokens: image tokens that entered the LLM, all cameras together; None for a policy without image tokens.
    """

    actions: np.ndarray
    kept_tokens: int | None = None


class Policy(ABC):
    """Acts in any number of episodes at once.

    State that outlives a query belongs to an episode: it is made in `reset` and found again through
    `observation.episode`.
    """

    name: str
    sight: Sight  # what an observation must contain

    def reset(self, episode: EpisodeKey) -> None:  # noqa: B027  a policy without memory needs none
        """A new episode begins; forget everything about an earlier attempt at it."""

    @abstractmethod
    def act(self, observations: Sequence[Observation]) -> list[Chunk]:
        """One chunk per observation, in the same order."""
