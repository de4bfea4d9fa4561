"""A session: what one client plays, and the queries that it asks.  Both wires are built on it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

import numpy as np

from vla_bench.errors import VlaBenchError, WireError
from vla_bench.rollout.querying import Answer
from vla_bench.serve.batcher import Batcher
from vla_bench.serve.observations import PlayedEpisode, Sent, observation
from vla_bench.serve.served import Served


class Failed(Exception):
    """What came cannot be answered.  frame: what the client is sent.  over: whether the connection ends with it."""

    def __init__(self, error: VlaBenchError, frame: bytes | str, over: bool):
        super().__init__(error.message)
        self.frame, self.over = frame, over


class Wired(Protocol):
    """A session as the server sees it."""

    async def answer(self, frame: bytes | str) -> bytes | None:
        """The answer to a frame, or None where the wire has none.  Raises Failed."""

    def close(self) -> None:
        """The client is gone."""


class Played:
    """The episode that a session plays; it has none before `begin`.

    see_size: is told the pixels a side of each picture.
    """

    def __init__(self, served: Served, batcher: Batcher, see_size: Callable[[int], None] = lambda size: None):
        self.served, self._batcher, self._see_size = served, batcher, see_size
        self.episode: PlayedEpisode | None = None
        self._begun: Future[None] | None = None

    def begin(self, suite: str, task_id: int = 0, init_state: int = 0) -> None:
        self.end(None)
        self.episode = PlayedEpisode(suite, task_id, init_state)
        self._begun = self._batcher.begin(self.episode)

    def end(self, success: bool | None) -> None:
        episode, self.episode = self.episode, None
        if episode is not None:
            self._batcher.end(episode, success)

    async def query(self, sent: Sent, step: int, path: np.ndarray | None = None) -> Answer:
        """The policy's answer; pictures are brought to size beside the event loop.  Raises WireError."""
        served = self.served
        how = {"cameras": served.cameras, "size": served.policy.image_size, "needs_state": served.needs_state, "path": path}
        seen = await asyncio.to_thread(observation, sent, self.episode, step, **how)
        for picture in sent.pictures.values():
            self._see_size(len(picture))
        answer = await self._batcher.ask(seen)
        if self._begun is not None and (error := self._begun.exception()) is not None:  # it is done: it came before the query
            raise WireError(f"the episode could not begin: {error!r}")
        return answer
