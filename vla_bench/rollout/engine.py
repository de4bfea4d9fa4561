"""Engines run episodes.  The local one has a pool of workers that simulate, and runs the policy in its own process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from vla_bench.policies.base import Policy
from vla_bench.query_record import QueryRecord
from vla_bench.records import EpisodeKey
from vla_bench.rollout.episode import EpisodeRunner, Outcome
from vla_bench.rollout.pool import HANG_S, RECYCLE, Attempt, Event, Finished, Retried, Started, WorkerPool
from vla_bench.rollout.querying import Answer, query_policy
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


class Engine(Protocol):
    """Runs episodes, and reports each event, of an EpisodeAttempt, to a function given to its constructor.

    A finished episode's result is an Outcome, or the ErrorReport of its last attempt.  Whatever the engine:

    - `policy.reset(episode)` precedes the first query of an attempt, `policy.end(episode, success)` follows its last one; one
      policy object answers all queries of that attempt.
    - Waiting queries of first attempts are one batch; those of later attempts go alone.
    - An attempt that ends in an error is followed by others, as many as `may_retry` says.
    - The first Ctrl-C finishes what is in flight, the second ends it.
    """

    def run(self, episodes: Iterable[EpisodeKey], in_order: bool = False) -> bool:
        """True when every episode finished, False when a stop left some out.

        in_order: begin them in the given order, and not task by task, which saves loading tasks.
        Raises what `policy.reset` raises, and VlaBenchError where nothing is left to run episodes with.
        """

    def stop(self) -> None:
        """Finish what is in flight and start nothing new."""


class LocalEngine:
    """The engine of one machine: simulators in `workers` processes, the policy in this one.

    Args:
        workers: simulators at a time.
        on_event: receives the events.
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
        schedule = InOrder(episodes) if in_order else Schedule(episodes, self._horizons)
        return self._pool.run(schedule) and len(schedule) == 0

    def stop(self) -> None:
        self._pool.stop()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, Started):
            self.policy.reset(event.attempt.episode)
        self.on_event(event)
        if isinstance(event, Retried):
            self.policy.end(event.attempt.episode, None)
        if isinstance(event, Finished):
            self.policy.end(event.attempt.episode, event.result.success if isinstance(event.result, Outcome) else None)

    def _act(self, attempts: Sequence[EpisodeAttempt], observations: Sequence[Observation]) -> list[np.ndarray | ErrorReport]:
        """The actions for each observation, or an error; its attempt records the query."""
        results: list[np.ndarray | ErrorReport] = []
        for attempt, result in zip(attempts, query_policy(self.policy, observations), strict=True):
            if isinstance(result, Answer):
                attempt.policy_s += result.seconds
                attempt.queries.append(result.query)
            results.append(result.actions if isinstance(result, Answer) else result)
        return results
