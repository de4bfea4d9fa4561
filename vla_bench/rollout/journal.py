"""From the engine's events to recorded episodes: each is on the disk before the next begins."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timezone

from vla_bench.metrics import of_episode
from vla_bench.queries import QueryRecord
from vla_bench.records import Episode, Status
from vla_bench.rollout.engine import Event, Finished, Retried
from vla_bench.rollout.folder import RunFolder
from vla_bench.rollout.worker import Outcome
from vla_bench.suites import Task

ERRORS_IN_A_ROW = 10  # this many and the cause is not the episodes


class Observer:
    """Is told what happens; the progress display is one."""

    def begin(self, message: str, total: int, done: list[Episode]) -> None: ...
    def event(self, event: Event, episode: Episode | None) -> None: ...
    def end(self) -> None: ...


class Journal:
    """Writes finished episodes and the traces of errors into a run folder, and tells the observer.

    `hopeless` says why going on makes no sense, once too many episodes in a row have ended in errors.
    """

    def __init__(self, folder: RunFolder, tasks: dict[tuple[str, int], Task], observer: Observer):
        self.folder = folder
        self.tasks = tasks
        self.observer = observer
        self.hopeless: str | None = None
        self._errors_in_a_row = 0

    def write(self, event: Event) -> None:
        episode = None
        if isinstance(event, Retried):
            self._log(event.attempt, event.trouble)
        if isinstance(event, Finished):
            episode = as_episode(event, self.tasks[event.attempt.episode[:2]].name)
            actions = event.result.actions if isinstance(event.result, Outcome) else None
            self.folder.add(episode, actions, event.attempt.answers)
            if episode.status is Status.ERROR:
                self._log(event.attempt, event.result)
                self._errors_in_a_row += 1
            else:
                self._errors_in_a_row = 0
                if event.result.trouble is not None:
                    self._log(event.attempt, event.result.trouble)
            if self._errors_in_a_row >= ERRORS_IN_A_ROW:
                self.hopeless = f"{ERRORS_IN_A_ROW} episodes in a row ended in errors, the last one: {event.result.message}"
        self.observer.event(event, episode)

    def _log(self, attempt, trouble) -> None:
        self.folder.log_error(f"{attempt.episode} attempt {attempt.number}: {trouble.type}: {trouble.message}\n{trouble.trace}")


def as_episode(event: Finished, task: str) -> Episode:
    """The record of a finished episode."""
    attempt, result = event.attempt, event.result
    key, queries = attempt.episode, len(attempt.answers)
    what = {"suite": key.suite, "task_id": key.task_id, "task": task, "init_state": key.init_state, "repeat": key.repeat}
    how = {"queries": queries, "attempts": attempt.number, "started": timestamp(attempt.started), "ended": timestamp(time.time())}
    how |= reported(attempt.answers)
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
    """What a policy told of an episode's queries."""
    kept = [query.kept for query in queries if query.kept is not None]
    same_cameras = len({len(cameras) for cameras in kept}) == 1
    by_camera = [sum(camera) / len(camera) for camera in zip(*kept, strict=True)] if same_cameras else None
    return {"kept_tokens_by_camera": by_camera, "metrics": of_episode(queries)}


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")
