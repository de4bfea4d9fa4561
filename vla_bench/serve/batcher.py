"""Queries of several sessions, batched: those that wait are one forward pass of a copy of the policy, beside the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress

from vla_bench.errors import WireError
from vla_bench.policies.base import Policy
from vla_bench.records import EpisodeKey
from vla_bench.rollout.querying import Answer, query_policy
from vla_bench.rollout.worker import ErrorReport
from vla_bench.serve.copies import Copy
from vla_bench.serve.limits import BATCH, QUERY_S
from vla_bench.world.observation import Observation

PATIENCE = 0.1  # of the last batch's time


class Batcher:
    """Asks a copy of the policy, which does one thing after another, so it needs no lock.

    A query waits for those of other sessions at most a tenth of the time that the last batch took: clients that were answered
    together ask again together, a little apart.  A session that has the copy to itself never waits.

    log: receives a line where the policy fails at an episode's begin or end.
    queries, batches: how many there were.  sessions: how many have this copy.  broken: whether its process has ended.
    """

    def __init__(
        self, copy: Copy, log: Callable[[str], None] = lambda line: None, *, largest: int = BATCH, query_s: float = QUERY_S
    ):
        self.queries = self.batches = self.sessions = 0
        self.broken = False
        self._copy, self._log, self._largest, self._query_s = copy, log, largest, query_s
        self._waiting: deque[tuple[Observation, asyncio.Future[Answer]]] = deque()
        self._some, self._more = asyncio.Event(), asyncio.Event()
        self._last_s = 0.0  # that the last batch took

    @property
    def waiting(self) -> int:
        """Queries that wait for a batch."""
        return len(self._waiting)

    def begin(self, episode: EpisodeKey) -> Future[None]:
        """Done before a query that is asked later."""
        return self._submit(_reset, episode)

    def end(self, episode: EpisodeKey, success: bool | None) -> None:
        """success: None where the client went away."""
        self._submit(_end, episode, success)

    async def ask(self, observation: Observation) -> Answer:
        """The answer to one observation.  Cancelled while it waits, it is never computed.  Raises WireError."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((observation, future))
        self._some.set()
        self._more.set()
        try:
            return await asyncio.wait_for(future, self._query_s)
        except asyncio.TimeoutError:
            raise WireError(f"the model did not answer within {self._query_s:g} s") from None

    async def run(self) -> None:
        """Answers until it is cancelled."""
        while True:
            await self._some.wait()
            await self._gather()
            batch = self._next()
            if batch:
                self.batches, self.queries = self.batches + 1, self.queries + len(batch)
                observations = [observation for observation, _ in batch]
                began = time.monotonic()
                results = await self._query(observations)
                self._last_s = time.monotonic() - began
                for (_, future), result in zip(batch, results, strict=True):
                    if not future.done():
                        answered = isinstance(result, Answer)
                        future.set_result(result) if answered else future.set_exception(WireError(result.message))

    def close(self) -> None:
        self._copy.close()

    async def _query(self, observations: list[Observation]) -> list[Answer | ErrorReport]:
        try:
            return await asyncio.wrap_future(self._copy.submit(query_policy, observations))
        except BrokenExecutor as error:
            self.broken = True
            return [ErrorReport("Crash", "the process of the model has ended", str(error))] * len(observations)

    async def _gather(self) -> None:
        """Wait for the queries of the copy's other sessions, a little."""
        until = time.monotonic() + PATIENCE * self._last_s
        while len(self._waiting) < min(self.sessions, self._largest) and (left := until - time.monotonic()) > 0:
            self._more.clear()
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._more.wait(), left)

    def _next(self) -> list[tuple[Observation, asyncio.Future[Answer]]]:
        """Those that wait, without the clients that went away."""
        batch: list[tuple[Observation, asyncio.Future[Answer]]] = []
        while self._waiting and len(batch) < self._largest:
            query = self._waiting.popleft()
            if not query[1].done():
                batch.append(query)
        if not self._waiting:
            self._some.clear()
        return batch

    def _submit(self, work: Callable[..., None], *arguments: object) -> Future[None]:
        try:
            future = self._copy.submit(work, *arguments)
        except BrokenExecutor as error:
            self.broken = True
            future = Future()
            future.set_exception(error)
        future.add_done_callback(self._tell)
        return future

    def _tell(self, future: Future[None]) -> None:
        if (error := future.exception()) is not None:
            self._log(f"at an episode's begin or end: {error!r}")


def _reset(policy: Policy, episode: EpisodeKey) -> None:
    policy.reset(episode)


def _end(policy: Policy, episode: EpisodeKey, success: bool | None) -> None:
    policy.end(episode, success)
