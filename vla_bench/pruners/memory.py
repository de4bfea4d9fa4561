"""What a pruner remembers from one query of an episode to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from vla_bench.records import EpisodeKey

EPISODES = 256  # most states kept, far more than episodes run at a time; the end of an episode is not reported

State = TypeVar("State")


class PerEpisode(Generic[State]):
    """One state an episode, made at its first use; a query of no episode gets a new one every time."""

    def __init__(self, make: Callable[[], State]):
        self._make = make
        self._states: dict[EpisodeKey, State] = {}

    def __getitem__(self, episode: EpisodeKey | None) -> State:
        if episode is None:
            return self._make()
        if episode not in self._states:
            self._states[episode] = self._make()
            if len(self._states) > EPISODES:
                del self._states[next(iter(self._states))]
        return self._states[episode]

    def reset(self, episode: EpisodeKey) -> None:
        self._states.pop(episode, None)
