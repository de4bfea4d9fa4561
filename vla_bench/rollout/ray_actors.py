"""The two actors of the ray engine: a simulator, and a replica of the policy.

They are plain classes; `ray_cluster.py` makes actors of them.  Data goes from node to node without the driver: a simulator's
actor sends each observation to the replica of its episode, and the driver receives one message per episode.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from vla_bench.errors import ClusterError, VlaBenchError
from vla_bench.policies.base import Policy, PolicyFacts
from vla_bench.query_record import QueryRecord
from vla_bench.records import EpisodeKey
from vla_bench.rollout.episode import EpisodeRunner
from vla_bench.rollout.pool import Attempt, batches
from vla_bench.rollout.process import EXIT_S, KILLED, WorkerProcess
from vla_bench.rollout.querying import Answer, query_policy
from vla_bench.rollout.worker import ActionRequest, ErrorReport, JobResult, Simulators
from vla_bench.world.observation import Observation


class Setup(Protocol):
    """What a node simulates with.  Nodes of unequal identities, a table of JSON types, are never mixed."""

    simulators: Simulators

    @property
    def identity(self) -> dict[str, object]: ...


@dataclass(frozen=True)
class Place:
    """Where an actor runs."""

    node: str
    address: str
    pid: int

    @classmethod
    def here(cls) -> Place:
        import ray

        return cls(ray.get_runtime_context().get_node_id(), ray.util.get_node_ip_address(), os.getpid())

    def __str__(self) -> str:
        return f"{self.address} (ray node {self.node[:8]})"


@dataclass(frozen=True)
class Ended:
    """What became of an attempt.

    result: of the runner; its error; or an exception of `policy.reset`, which ends the run.
    videos: files that were filmed, by name.
    replica_lost: the replica did not survive it.
    """

    result: JobResult | ErrorReport | Exception
    queries: list[QueryRecord] = field(default_factory=list)
    policy_s: float = 0.0
    videos: dict[str, bytes] = field(default_factory=dict)
    replica_lost: bool = False


class SimulatorActor:
    """One simulator, in a process of its own as the local engine has them: so hangs and crashes are told apart here, too.

    Args:
        make_setup: what this node simulates with; checks that all files are there.
        hang_s: seconds without a message after which the simulator counts as hung.
    """

    def __init__(self, make_setup: Callable[[], Setup], hang_s: float):
        self._make_setup = make_setup
        self._hang_s = hang_s
        self._process: WorkerProcess | None = None
        self._videos: Path | None = None

    def place(self) -> Place:
        return Place.here()

    def prepare(self) -> Setup | VlaBenchError:
        try:
            self._setup = self._make_setup()
        except Exception as error:  # noqa: BLE001  the driver says which node it was
            return _mendable(error)
        return self._setup

    def run(self, runner: EpisodeRunner, job: EpisodeKey, number: int, replica, fresh: bool) -> Ended:
        """One attempt.  number: the attempt's, from 1.  replica: handle of the PolicyReplica.  fresh: in a new process."""
        import ray

        if fresh:
            self._stop()
        ended = Ended(ErrorReport(KILLED, "the policy replica was lost, and the episode's memory with it", ""), replica_lost=True)
        try:
            ended = self._attempt(runner, job, number, replica)
        except ray.exceptions.RayTaskError:  # a bug, not a loss
            raise
        except ray.exceptions.RayError:
            pass
        if not isinstance(ended.result, JobResult):
            self._stop()
            return ended
        self._process.attempt = None
        return replace(ended, videos=self._take_videos())

    def _attempt(self, runner: EpisodeRunner, job: EpisodeKey, number: int, replica) -> Ended:
        import ray

        if (refusal := ray.get(replica.begin.remote(job, number))) is not None:
            return Ended(refusal)
        process = self._started(runner)
        process.attempt = Attempt(job, number)
        process.send(job)
        queries, policy_s = [], 0.0
        while True:
            awake = process.connection.poll(self._hang_s)
            message = process.receive() if awake else process.kill_hung(self._hang_s)
            if isinstance(message, ActionRequest):
                message = ray.get(replica.act.remote(number, message.observation))
                if isinstance(message, Answer):
                    queries.append(message.query)
                    policy_s += message.seconds
                    process.send(message.actions)
                    continue
            replica.end.remote(job, number, message.value.success if isinstance(message, JobResult) else None)
            return Ended(message, queries, policy_s)

    def _started(self, runner: EpisodeRunner) -> WorkerProcess:
        if self._process is None:
            if runner.video != "none":
                self._videos = Path(tempfile.mkdtemp(prefix="vla-bench-videos-"))
            self._process = WorkerProcess(self._setup.simulators, replace(runner, video_folder=self._videos))
        return self._process

    def _take_videos(self) -> dict[str, bytes]:
        files = sorted(self._videos.iterdir()) if self._videos is not None else []
        taken = {file.name: file.read_bytes() for file in files if not file.name.startswith(".")}
        for file in files:
            file.unlink()
        return taken

    def _stop(self) -> None:
        """End the simulator's process, if there is one."""
        if self._process is not None:
            self._process.dismiss()
            self._process.stop(time.monotonic() + EXIT_S)
        if self._videos is not None:
            shutil.rmtree(self._videos, ignore_errors=True)
        self._process = self._videos = None


class PolicyReplica:
    """A policy, which answers the queries of the episodes that began with it; those that wait while it works are its next batch.

    All of it runs in one thread, for torch's sake: what is set for a thread holds for every call.
    """

    def __init__(self, make_policy: Callable[[], Policy]):
        self._make_policy = make_policy
        self._thread = ThreadPoolExecutor(1)
        self._numbers: dict[EpisodeKey, int] = {}  # the attempt of each episode that may query
        self._waiting: list[_Query] = []
        self._working: asyncio.Task | None = None

    async def place(self) -> Place:
        return Place.here()

    async def prepare(self) -> PolicyFacts | VlaBenchError:
        try:
            self._policy = await self._in_thread(self._make_policy)
        except Exception as error:  # noqa: BLE001  the driver says which node it was
            return _mendable(error)
        return PolicyFacts.of(self._policy)

    async def begin(self, episode: EpisodeKey, number: int) -> Exception | None:
        """Attempt `number` at an episode begins; what the policy's `reset` raises."""
        try:
            await self._in_thread(self._policy.reset, episode)
        except Exception as error:  # noqa: BLE001  the driver raises it
            return error
        self._numbers[episode] = number
        return None

    async def end(self, episode: EpisodeKey, number: int, success: bool | None) -> None:
        """Attempt `number` at an episode is over, unless a later one has begun."""
        if self._numbers.get(episode) == number:
            await self._in_thread(self._policy.end, episode, success)

    async def act(self, number: int, observation: Observation) -> Answer | ErrorReport:
        query = _Query(number, observation, asyncio.get_running_loop().create_future())
        self._waiting.append(query)
        if self._working is None:
            self._working = asyncio.create_task(self._work())
        return await query.answer

    async def _work(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                for batch in batches([query for query in waiting if self._is_current(query)], lambda query: query.number):
                    answers = await self._in_thread(query_policy, self._policy, [query.observation for query in batch])
                    for query, answer in zip(batch, answers, strict=True):
                        query.answer.set_result(answer)
        finally:
            self._working = None

    def _is_current(self, query: _Query) -> bool:
        """A query of an earlier attempt, whose node was lost, would advance the memory of the present one."""
        if self._numbers.get(query.observation.episode) == query.number:
            return True
        query.answer.set_result(ErrorReport(KILLED, "a later attempt at this episode has begun", ""))
        return False

    async def _in_thread(self, call: Callable, *arguments):
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)


@dataclass
class _Query:
    number: int
    observation: Observation
    answer: asyncio.Future


def _mendable(error: Exception) -> VlaBenchError:
    return error if isinstance(error, VlaBenchError) else ClusterError(f"{type(error).__name__}: {error}")
