"""Queries of all sessions, batched: those that wait are one forward pass, in one thread beside the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from vla_bench.errors import WireError
from vla_bench.policies.base import Policy
from vla_bench.records import EpisodeKey
from vla_bench.rollout.querying import Answer, query_policy
from vla_bench.serve.limits import BATCH, QUERY_S
from vla_bench.world.observation import Observation


class Batcher:
    """Asks the policy.  Everything that touches it runs in the one thread, in order, so it needs no lock.

    Nobody waits for a batch to fill: a query that finds the model idle goes alone, and those that come meanwhile go together.

    log: receives a line where the policy fails at an episode's begin or end.
    queries, batches: how many there were.
    """

    def __init__(
        self, policy: Policy, log: Callable[[str], None] = lambda line: None, *, largest: int = BATCH, query_s: float = QUERY_S
    ):
        self.queries = self.batches = 0
        self._policy, self._log, self._largest, self._query_s = policy, log, largest, query_s
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="policy")
        self._waiting: deque[tuple[Observation, asyncio.Future[Answer]]] = deque()
        self._some = asyncio.Event()

    def begin(self, episode: EpisodeKey) -> Future[None]:
        """Done before a query that is asked later."""
        return self._submit(lambda: self._policy.reset(episode))

    def end(self, episode: EpisodeKey, success: bool | None) -> None:
        """success: None where the client went away."""
        self._submit(lambda: self._policy.end(episode, success))

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
        loop = asyncio.get_running_loop()
        while True:
            await self._some.wait()
            batch = self._next()
            if batch:
                self.batches, self.queries = self.batches + 1, self.queries + len(batch)
                observations = [observation for observation, _ in batch]
                results = await loop.run_in_executor(self._thread, query_policy, self._policy, observations)
                for (_, future), result in zip(batch, results, strict=True):
                    if not future.done():
                        answered = isinstance(result, Answer)
                        future.set_result(result) if answered else future.set_exception(WireError(result.message))

    def close(self) -> None:
        self._thread.shutdown()

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

    def _submit(self, work: Callable[[], None]) -> Future[None]:
        future = self._thread.submit(work)
        future.add_done_callback(self._tell)
        return future

    def _tell(self, future: Future[None]) -> None:
        if (error := future.exception()) is not None:
            self._log(f"{self._policy.name}: {error!r}")
