"""The engine of a ray cluster: the driver schedules and records, the nodes simulate and run the policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from vla_bench.records import EpisodeKey
from vla_bench.rollout.engine import EpisodeAttempt
from vla_bench.rollout.episode import EpisodeRunner, Outcome
from vla_bench.rollout.pool import POLL_S, RECYCLE, Attempt, Event, Notice, Pool
from vla_bench.rollout.process import KILLED
from vla_bench.rollout.ray_actors import Ended
from vla_bench.rollout.ray_cluster import Cluster, Kind, Member
from vla_bench.rollout.schedule import InOrder, Schedule
from vla_bench.rollout.worker import ErrorReport, JobResult, TaskKey


class RayEngine:
    """Runs episodes on a cluster that was started.

    An episode stays with one replica of the policy, and is run again where its simulator or replica was lost.

    Args:
        on_event: receives the events, in this process.
        video, video_folder: which episodes are filmed (all, failures, none), and where videos are written, on this machine.
        recycle: episodes after which a simulator's process is replaced.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        on_event: Callable[[Event], None],
        video: str = "none",
        video_folder: Path | None = None,
        recycle: int = RECYCLE,
    ):
        runner = EpisodeRunner(cluster.policy.sight, cluster.policy.image_size, video)
        self._horizons = {name: suite.horizon for name, suite in cluster.setup.simulators.suites.items()}
        self._pool = _RayPool(cluster, runner, video_folder, on_event, recycle)

    def run(self, episodes: Iterable[EpisodeKey], in_order: bool = False) -> bool:
        schedule = InOrder(episodes) if in_order else Schedule(episodes, self._horizons)
        return self._pool.run(schedule) and len(schedule) == 0

    def stop(self) -> None:
        self._pool.stop()


class _RayWorker:
    """A simulator of the cluster, while it belongs to the pool."""

    def __init__(self, cluster: Cluster, simulator: Member, runner: EpisodeRunner):
        self.attempt: Attempt | None = None
        self.task: TaskKey | None = None
        self.jobs = 0
        self.ended = None  # reference to the Ended of its attempt
        self.simulator = simulator
        self.simulator.in_flight = 1
        self.replica: Member | None = None
        self._cluster = cluster
        self._runner = runner

    @property
    def pid(self) -> int:
        return self.simulator.place.pid

    def send(self, job: EpisodeKey) -> None:
        self.replica = self._cluster.replica_for(self.simulator)
        self.replica.in_flight += 1
        # The simulator's actor may have run episodes for an earlier worker of the pool, which was dismissed.
        how = (self.attempt.number, self.replica.handle, self.jobs == 1)
        self.ended = self.simulator.handle.run.remote(self._runner, job, *how)

    def end(self) -> None:
        """The attempt ended."""
        self.replica.in_flight -= 1
        self.ended = self.replica = None

    def dismiss(self) -> None:
        """Its actor stays, for later workers."""

    def stop(self, until: float = 0.0) -> None:
        """Give the simulator back; end it where its attempt still runs."""
        self.simulator.in_flight = 0
        if self.ended is not None:
            self.end()
            self._cluster.drop(self.simulator)


class _RayPool(Pool[_RayWorker]):
    """The simulators of a cluster as a pool of workers."""

    def __init__(
        self,
        cluster: Cluster,
        runner: EpisodeRunner,
        video_folder: Path | None,
        on_event: Callable[[Event], None],
        recycle: int,
    ):
        super().__init__(on_event=on_event, new_attempt=EpisodeAttempt, recycle=recycle)
        self._cluster = cluster
        self._runner = runner
        self._video_folder = video_folder

    def _has_room(self) -> bool:
        return self._cluster.free_simulator() is not None

    def _new_worker(self) -> _RayWorker:
        return _RayWorker(self._cluster, self._cluster.free_simulator(), self._runner)

    def _next(self, task: TaskKey | None) -> EpisodeKey | None:
        return super()._next(task) if self._cluster.ready(Kind.REPLICA) else None

    def _awaits_workers(self) -> bool:
        if self.stopping or not len(self._jobs):
            return False
        self._cluster.refresh(now=True)  # actors that were dropped a moment ago are being replaced
        self._cluster.check_hope()
        return True

    def _receive(self, busy: list[_RayWorker]) -> list[tuple[_RayWorker, object]]:
        import ray

        by_ref = {each.ended: each for each in busy}
        if by_ref:
            ready, _ = ray.wait(list(by_ref), timeout=POLL_S)
        else:  # no worker is ready yet
            ready = []
            time.sleep(POLL_S)
        received = [(by_ref[ref], self._result(by_ref[ref])) for ref in ready]
        self._follow()
        return received

    def _follow(self) -> None:
        """Follow what happened to the cluster."""
        self._cluster.refresh()
        for message in self._cluster.take_notices():
            self._on_event(Notice(message))
        for each in [each for each in self._workers if each.attempt is None and not self._cluster.has(each.simulator)]:
            self._dismiss(each)

    def _result(self, each: _RayWorker) -> JobResult | ErrorReport:
        """What an attempt ended with, and what the pool has to know of it."""
        import ray

        try:
            ended: Ended = ray.get(each.ended)
        except ray.exceptions.RayTaskError:  # a bug, not a loss
            raise
        except ray.exceptions.RayError:
            ended = Ended(ErrorReport(KILLED, f"the simulator on {each.simulator.place} was lost", ""))
            self._cluster.drop(each.simulator)
        if ended.replica_lost:
            self._cluster.drop(each.replica)
        each.end()
        if isinstance(ended.result, Exception):
            raise ended.result
        each.attempt.queries, each.attempt.policy_s = ended.queries, ended.policy_s
        if isinstance(ended.result, JobResult) and ended.videos:
            return JobResult(self._with_videos(ended.result.value, ended.videos))
        return ended.result

    def _with_videos(self, outcome: Outcome, videos: dict[str, bytes]) -> Outcome:
        """Write the videos that a node filmed."""
        try:
            self._video_folder.mkdir(parents=True, exist_ok=True)
            for name, content in videos.items():
                (self._video_folder / Path(name).name).write_bytes(content)
        except OSError as error:
            return replace(outcome, video=None, video_error=ErrorReport.of(error))
        return outcome
