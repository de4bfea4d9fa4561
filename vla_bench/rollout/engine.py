"""Runs episodes: a pool of workers simulates, this process runs the policy for their queries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vla_bench.policies.base import ACTION_DIM, Chunk, Policy
from vla_bench.queries import QueryRecord
from vla_bench.records import EpisodeKey
from vla_bench.rollout.episode import EpisodeRunner
from vla_bench.rollout.pool import HANG_S, RECYCLE, Attempt, Event, Started, WorkerPool
from vla_bench.rollout.schedule import InOrder, Schedule
from vla_bench.rollout.worker import ErrorReport, Simulators
from vla_bench.world.observation import Observation


@dataclass
class EpisodeAttempt(Attempt):
    """One attempt at an episode, and its queries so far.  policy_s: time spent in the policy."""

    policy_s: float = 0.0
    queries: list[QueryRecord] = field(default_factory=list)

    @property
    def episode(self) -> EpisodeKey:
        return self.job


class Engine:
    """Runs episodes with `policy` and reports each event, of an EpisodeAttempt, to `on_event`.

    A finished episode's result is an Outcome, or the ErrorReport of its last attempt.

    Args:
        workers: simulators at a time.
        video, video_folder: which episodes the workers film (all, failures, none), and where they write videos.
        recycle: episodes after which a worker is replaced.
        hang_s: seconds without a message after which a simulator counts as hung.
    """

    def __init__(
        self,
        policy: Policy,
        simulators: Simulators,
        *,
        workers: int,
        on_event: Callable[[Event], None],
        video: str = "none",
        video_folder: Path | None = None,
        recycle: int = RECYCLE,
        hang_s: float = HANG_S,
    ):
        self.policy = policy
        self.on_event = on_event
        self._horizons = {name: suite.horizon for name, suite in simulators.suites.items()}
        self._pool = WorkerPool(
            simulators,
            EpisodeRunner(policy.sight, policy.image_size, video, video_folder),
            workers=workers,
            on_event=self._on_event,
            answer=self._act,
            new_attempt=EpisodeAttempt,
            recycle=recycle,
            hang_s=hang_s,
        )

    def run(self, episodes: Iterable[EpisodeKey], in_order: bool = False) -> bool:
        """True when every episode finished, False when a stop left some out.

        in_order: begin them in the given order, and not task by task, which saves loading tasks.
        """
        schedule = InOrder(episodes) if in_order else Schedule(episodes, self._horizons)
        return self._pool.run(schedule) and len(schedule) == 0

    def stop(self) -> None:
        """Finish what is in flight and start nothing new."""
        self._pool.stop()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Started):
            self.policy.reset(event.attempt.episode)
        self.on_event(event)

    def _act(self, attempts: Sequence[EpisodeAttempt], observations: Sequence[Observation]) -> list[np.ndarray | ErrorReport]:
        """The actions for each observation, or an error; its attempt records the query."""
        results: list[np.ndarray | ErrorReport] = []
        for attempt, result in zip(attempts, self._query_policy(list(observations)), strict=True):
            if isinstance(result, _ValidChunk):
                attempt.policy_s += result.seconds
                attempt.queries.append(result.query)
            results.append(result.actions if isinstance(result, _ValidChunk) else result)
        return results

    def _query_policy(self, observations: list[Observation]) -> list[_ValidChunk | ErrorReport]:
        """The policy's chunk for each observation.  A policy that raises fails the whole batch: its state may have advanced for
        some of the episodes, and would be wrong if they were queried again."""
        started = time.perf_counter()
        try:
            chunks = self.policy.act(observations)
            share = (time.perf_counter() - started) / len(observations)
            if len(chunks) != len(observations):
                raise ValueError(f"{self.policy.name} returned {len(chunks)} chunks for {len(observations)} observations")
        except Exception as error:  # noqa: BLE001  a policy that fails ends its episodes, not the run
            return [self._report(error)] * len(observations)
        return [self._validated(o, chunk, share) for o, chunk in zip(observations, chunks, strict=True)]

    def _validated(self, observation: Observation, chunk: Chunk, seconds: float) -> _ValidChunk | ErrorReport:
        try:
            return _validate(observation, chunk, seconds)
        except ValueError as error:
            return self._report(error)

    def _report(self, error: Exception) -> ErrorReport:
        report = ErrorReport.of(error)
        return replace(report, message=f"policy {self.policy.name}: {report.message}")


@dataclass(frozen=True)
class _ValidChunk:
    """A chunk that passed the checks."""

    actions: np.ndarray  # (T, 7)
    query: QueryRecord
    seconds: float  # this query's share of its batch's time


def _validate(observation: Observation, chunk: Chunk, seconds: float) -> _ValidChunk:
    """Check the chunk that a policy returned.  Raises ValueError."""
    actions = chunk.actions
    if actions.ndim != 2 or actions.shape[1] != ACTION_DIM or not len(actions):
        raise ValueError(f"actions have shape {actions.shape}, not (T, {ACTION_DIM})")
    if not np.isfinite(actions).all():
        raise ValueError("actions are not finite numbers")
    reported = (chunk.kept_tokens, chunk.prompt_tokens, chunk.stages_ms, chunk.gflops, chunk.trace)
    return _ValidChunk(actions, QueryRecord.of(observation.step, *reported, 1000 * seconds), seconds)
