"""Records finished episodes from the engine's events, each on disk before the next event is handled."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone

from vla_bench.metrics import of_episode
from vla_bench.query_record import QueryRecord
from vla_bench.records import Episode, Run, Status
from vla_bench.rollout.engine import EpisodeAttempt
from vla_bench.rollout.episode import Outcome
from vla_bench.rollout.folder import RunFolder
from vla_bench.rollout.pool import ErrorStreak, Event, Finished, Notice, Retried
from vla_bench.rollout.same_cause import SameCause
from vla_bench.rollout.worker import ErrorReport
from vla_bench.suites import Task


class Observer:
    """Receives the events of a run, as the progress display does.  This one ignores them."""

    def say(self, message: str) -> None: ...
    def opened(self, run: Run) -> None: ...
    def begin(self, message: str, total: int, done: list[Episode]) -> None: ...
    def event(self, event: Event, episode: Episode | None) -> None: ...
    def end(self) -> None: ...


class Journal:
    """Writes finished episodes and error traces into a run folder, and passes events on to the observer.

    workers: how many simulate.
    stop_reason: why the run should stop, once too many episodes in a row have ended in errors, or all workers fail with one
        cause; None before.
    """

    def __init__(self, folder: RunFolder, tasks: dict[tuple[str, int], Task], observer: Observer, workers: int = 1):
        self.folder = folder
        self.tasks = tasks
        self.observer = observer
        self._streak = ErrorStreak("episodes")
        self._cause = SameCause(workers)

    @property
    def stop_reason(self) -> str | None:
        return self._cause.stop_reason or self._streak.stop_reason

    def write(self, event: Event) -> None:
        episode = None
        if isinstance(event, Notice):
            self.folder.log_error(event.message)
        if isinstance(event, Retried):
            self._log(event.attempt, event.error)
            self._cause.failed(event.attempt.job, event.error)
        if isinstance(event, Finished):
            episode = as_episode(event, self.tasks[event.attempt.episode[:2]].name)
            ended = isinstance(event.result, Outcome)
            self.folder.add(episode, event.result.actions if ended else None, event.attempt.queries)
            error = event.result.video_error if ended else event.result
            if error is not None:
                self._log(event.attempt, error)
            self._streak.add(None if ended else error.message)
            if ended:
                self._cause.finished()
            else:
                self._cause.failed(event.attempt.job, event.result)
        self.observer.event(event, episode)

    def _log(self, attempt: EpisodeAttempt, error: ErrorReport) -> None:
        self.folder.log_error(f"{attempt.episode} attempt {attempt.number}: {error.type}: {error.message}\n{error.trace}")


def as_episode(event: Finished, task: str) -> Episode:
    """The record of a finished episode."""
    attempt, result = event.attempt, event.result
    key, queries = attempt.episode, len(attempt.queries)
    what = {"suite": key.suite, "task_id": key.task_id, "task": task, "init_state": key.init_state, "repeat": key.repeat}
    how = {"queries": queries, "attempts": attempt.number, "started": timestamp(attempt.started), "ended": timestamp(time.time())}
    how |= reported(attempt.queries)
    if not isinstance(result, Outcome):
        error = {"type": result.type, "message": result.message}
        wall_s = round(time.time() - attempt.started, 3)
        return Episode(**what, **how, status=Status.ERROR, error=error, steps=0, wall_s=wall_s, init_hash=None, state_hash=None)
    return Episode(
        **what,
        **how,
        status=Status.SUCCESS if result.success else Status.FAILURE,
        steps=len(result.actions),
        wall_s=round(result.wall_s, 3),
        init_hash=result.init_hash,
        state_hash=result.state_hash,
        video=f"videos/{result.video}" if result.video else None,
    )


def reported(queries: Sequence[QueryRecord]) -> dict[str, object]:
    """Kept tokens and metrics that the policy reported for an episode's queries."""
    kept = [query.kept for query in queries if query.kept is not None]
    same_cameras = len({len(cameras) for cameras in kept}) == 1
    by_camera = [sum(camera) / len(camera) for camera in zip(*kept, strict=True)] if same_cameras else None
    return {"kept_tokens_by_camera": by_camera, "metrics": of_episode(queries)}


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
