"""Queries of all sessions, batched: those that wait are one forward pass, in one thread beside the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vla_bench.errors import WireError
from vla_bench.policies.base import Policy
from vla_bench.records import EpisodeKey
from vla_bench.rollout.querying import Answer, query_policy
from vla_bench.serve.limits import BATCH, QUERY_S
from vla_bench.world.observation import Observation

Result = TypeVar("Result")


class Batcher:
    """Asks the policy.  Everything that touches it runs in the one thread, in order, so it needs no lock.

    Nobody waits for a batch to fill: a query that finds the model idle goes alone, and those that come meanwhile go together.

    queries, batches: how many there were.
    """

    def __init__(self, policy: Policy, largest: int = BATCH, query_s: float = QUERY_S):
        self.queries = self.batches = 0
        self._policy, self._largest, self._query_s = policy, largest, query_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="policy")
        self._waiting: deque[tuple[Observation, asyncio.Future[Answer]]] = deque()
        self._some = asyncio.Event()

    async def begin(self, episode: EpisodeKey) -> None:
        await self._in_thread(lambda: self._policy.reset(episode))

    async def end(self, episode: EpisodeKey, success: bool | None) -> None:
        """success: None where the client went away."""
        await self._in_thread(lambda: self._policy.end(episode, success))

    async def ask(self, observation: Observation) -> Answer:
        """The answer to one observation.  Cancelled while it waits, it is never computed.  Raises WireError."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((observation, future))
        self._some.set()
        try:
            return await asyncio.wait_for(future, self._query_s)
        except asyncio.TimeoutError:
            raise WireError(f"the model did not answer within {self._query_s:g} s") from None

    async def run(self) -> None:
        """Answers until it is cancelled."""
        while True:
            await self._some.wait()
            batch = self._next()
            if batch:
                self.batches, self.queries = self.batches + 1, self.queries + len(batch)
                observations = [observation for observation, _ in batch]
                results = await self._in_thread(lambda: query_policy(self._policy, observations))  # noqa: B023  awaited here
                for (_, future), result in zip(batch, results, strict=True):
                    if not future.done():
                        answered = isinstance(result, Answer)
                        future.set_result(result) if answered else future.set_exception(WireError(result.message))

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)

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

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
