"""The attempts at demonstrations of each task: those made so far, and the next one.

The attempts made do not depend on the number of workers or on interruptions: numbers 0, 1, 2, ... up to the one that
completes the task.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import KW_ONLY, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from vla_bench.demonstrations.recording import Ending
from vla_bench.documents import Count, Measure, decode, typed
from vla_bench.errors import RecordError
from vla_bench.lines import split_lines
from vla_bench.stats import Rate, wilson
from vla_bench.suites import Suite, Task, load_suite

PARTS = "parts"  # subfolder of the data set: demonstrations of incomplete tasks
MAX_FAILED_ATTEMPTS = 20  # attempts without one success after which a task is given up
MAX_ATTEMPTS_PER_DEMO = 4  # attempts for every requested demonstration
Seed = Annotated[int, Meta(ge=0, lt=2**32)]
JSON_KEYS = {"learner_steps": "led"}  # attribute -> key of a line, where they differ


@dataclass(frozen=True)
class AttemptRecord:
    """One finished attempt: a line of `attempts.jsonl`.

    steps: control steps, the first `learner_steps` of them by a learner policy.
    frames: length of the demonstration.
    noops: no-ops that were left out.
    pushes: pushes of the arm that took place.
    disturbed: whether noise was added to the expert's commands.
    """

    suite: str
    task_id: Count
    number: Count
    seed: Seed
    ending: Ending
    _: KW_ONLY
    steps: Count = 0
    frames: Count = 0
    noops: Count = 0
    pushes: Count = 0
    learner_steps: Count = 0  # "led" in the file
    disturbed: bool = False
    wall_s: Measure = 0.0
    error: str | None = None

    def to_json(self) -> str:
        table = {JSON_KEYS.get(name, name): value for name, value in asdict(self).items()}
        return json.dumps({**table, "ending": self.ending.value}, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> AttemptRecord:
        """The inverse of `to_json`.  Lines without `disturbed`, of an earlier version, derive it from `pushes`.

        Raises ValueError for what is no attempt.
        """
        table = typed(decode(line), dict[str, Any])
        keys = {f.name: JSON_KEYS.get(f.name, f.name) for f in fields(cls)}
        attempt = typed({name: table[key] for name, key in keys.items() if key in table}, cls)
        return attempt if "disturbed" in table else replace(attempt, disturbed=attempt.pushes > 0)


def read_attempts(path: Path) -> list[AttemptRecord]:
    """Every complete line of `path`; an incomplete one, left by a crash, is skipped.  Raises RecordError."""
    attempts = []
    for number, line in split_lines(path)[0]:
        try:
            decode(line)
        except ValueError:
            continue
        try:
            attempts.append(AttemptRecord.from_json(line.decode()))
        except ValueError as error:
            raise RecordError(f"{path}:{number} is not an attempt: {error}", f"mv {path.parent} {path.parent}.old") from error
    return attempts


def attempt_seed(seed: int, suite: str, task_id: int, number: int) -> int:
    """The seed of one attempt, below 2**32, derived from the data set's seed and the attempt alone."""
    return int(np.random.SeedSequence([seed, load_suite(suite).number, task_id, number]).generate_state(1)[0])


@dataclass
class TaskProgress:
    """The attempts at one task, by number, until it has `wanted` demonstrations or is given up."""

    suite: Suite
    task: Task
    wanted: int
    attempts: dict[int, AttemptRecord] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int]:
        return self.suite.name, self.task.id

    @property
    def file(self) -> Path:
        """The file of its demonstrations, relative to the data set's folder, named as in LIBERO's data."""
        return Path(self.suite.libero_name) / f"{self.task.name}_demo.hdf5"

    def part(self, number: int) -> Path:
        """The file of one attempt's demonstration until the task is complete, relative to the data set's folder."""
        return Path(PARTS) / self.suite.libero_name / self.task.name / f"attempt_{number:04d}.hdf5"

    @property
    def successes(self) -> list[AttemptRecord]:
        return [a for _, a in sorted(self.attempts.items()) if a.ending is Ending.SUCCESS]

    @property
    def rate(self) -> Rate:
        """The expert's success rate, without rejected starts and errors."""
        tried = [a for a in self.attempts.values() if a.ending in (Ending.SUCCESS, Ending.FAILURE)]
        return wilson(len(self.successes), len(tried))

    @property
    def limit(self) -> int:
        """Largest number of attempts."""
        return MAX_FAILED_ATTEMPTS if not self.successes else max(MAX_FAILED_ATTEMPTS, MAX_ATTEMPTS_PER_DEMO * self.wanted)

    @property
    def done(self) -> bool:
        return len(self.successes) >= self.wanted or self._first_missing(()) is None

    def next(self, in_flight: Collection[int]) -> int | None:
        """The next attempt that is needed even if all attempts in flight succeed; None when there is none."""
        if len(self.successes) + len(in_flight) >= self.wanted:
            return None
        return self._first_missing(in_flight)

    def forget_errors(self) -> None:
        """Drop attempts that ended in errors, to make them again; a finished task keeps them."""
        if not self.done:
            self.attempts = {n: a for n, a in self.attempts.items() if a.ending is not Ending.ERROR}

    def _first_missing(self, in_flight: Collection[int]) -> int | None:
        return next((n for n in range(self.limit) if n not in self.attempts and n not in in_flight), None)


def overall_rate(tasks: Iterable[TaskProgress]) -> Rate:
    """The expert's success rate over several tasks."""
    rates = [progress.rate for progress in tasks]
    return wilson(sum(rate.successes for rate in rates), sum(rate.n for rate in rates))


def enter(attempts: Iterable[AttemptRecord], tasks: Iterable[TaskProgress]) -> None:
    """Enter recorded attempts into the progress of their tasks; of two lines for one attempt the last counts."""
    by_key = {progress.key: progress for progress in tasks}
    for attempt in attempts:
        if progress := by_key.get((attempt.suite, attempt.task_id)):
            progress.attempts[attempt.number] = attempt
