"""Replays the actions of a recorded run: same start, same actions, same episode."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vla_bench.errors import RecordError
from vla_bench.policies.base import ACTION_DIM, Chunk, Policy
from vla_bench.records import EpisodeKey, read_actions
from vla_bench.world.observation import Observation, Sight


class Replay(Policy):
    """Replays the actions of the run in `folder`, then does not move.  Raises RecordError."""

    name = "replay"
    sight = Sight.STATE

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        if not (self.folder / "actions").is_dir():
            raise RecordError(f"{folder} holds no recorded actions", "vla-bench eval --model expert --out DIR")

    def reset(self, episode: EpisodeKey) -> None:
        read_actions(self.folder, episode)  # raises for a missing recording before the episode begins

    def act(self, observations: Sequence[Observation]) -> list[Chunk]:
        return [Chunk(self._remaining(o)) for o in observations]

    def _remaining(self, observation: Observation) -> np.ndarray:
        actions = read_actions(self.folder, observation.episode)[observation.step :]
        if len(actions):
            return actions
        still = np.zeros((1, ACTION_DIM))
        still[:, -1] = -1.0
        return still
