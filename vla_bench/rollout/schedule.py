"""The orders in which workers run episodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from vla_bench.records import EpisodeKey
from vla_bench.rollout.worker import TaskKey


class Schedule:
    """Hands out episodes, longest tasks first.

    Loading a task costs seconds, so a worker stays with its task while that has episodes left, then begins the longest task
    that no worker has begun, and only then joins one that is in progress.
    """

    def __init__(self, episodes: Iterable[EpisodeKey], horizons: Mapping[str, int]):
        self._horizons = horizons
        self._left: dict[TaskKey, deque[EpisodeKey]] = {}
        self._begun: set[TaskKey] = set()
        for key in episodes:
            self._left.setdefault((key.suite, key.task_id), deque()).append(key)

    def __len__(self) -> int:
        return sum(map(len, self._left.values()))

    def next(self, current: TaskKey | None = None) -> EpisodeKey | None:
        """The next episode for a worker whose simulator has `current` loaded; None when nothing is left."""
        if not self._left:
            return None
        task = current if current in self._left else min(self._left, key=self._rank)
        self._begun.add(task)
        episode = self._left[task].popleft()
        if not self._left[task]:
            del self._left[task]
        return episode

    def put_back(self, episode: EpisodeKey) -> None:
        """Queue an episode again, after all others of its task."""
        self._left.setdefault((episode.suite, episode.task_id), deque()).append(episode)

    def _rank(self, task: TaskKey) -> tuple:
        work = len(self._left[task]) * self._horizons[task[0]]
        return (task in self._begun, -work, task)


class InOrder:
    """Hands out episodes in the given order, for a run that is judged in it: one that is put back comes next."""

    def __init__(self, episodes: Iterable[EpisodeKey]):
        self._left = deque(episodes)

    def __len__(self) -> int:
        return len(self._left)

    def next(self, current: TaskKey | None = None) -> EpisodeKey | None:
        """The next episode, whichever task the worker has loaded; None when nothing is left."""
        return self._left.popleft() if self._left else None

    def put_back(self, episode: EpisodeKey) -> None:
        self._left.appendleft(episode)
