"""What a folder of demonstrations knows of each task: the attempts that were made, and which comes next.

Whatever the number of workers and however often the command was interrupted, the attempts made are the same: numbers 0,
1, 2, ... up to the one with which the task has what was asked for.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from vla_bench.demonstrations.recording import Ending
from vla_bench.errors import RecordError
from vla_bench.stats import Rate, wilson
from vla_bench.suites import Suite, Task, load_suite

PARTS = "parts"  # below the folder of the data set: demonstrations of tasks that are not complete
HOPELESS = 20  # attempts without one success after which a task is given up
MOST_PER_DEMO = 4  # attempts for every demonstration asked for


@dataclass(frozen=True)
class Attempt:
    """One finished attempt: a line of `attempts.jsonl`.

    `steps` and `pushes` took place, the first `led` steps by a learner; `frames` were kept.  `disturbed`: the arm trembled.
    """

    suite: str
    task_id: int
    number: int
    seed: int
    ending: Ending
    steps: int = 0
    frames: int = 0
    noops: int = 0
    pushes: int = 0
    led: int = 0
    disturbed: bool = False
    wall_s: float = 0.0
    error: str | None = None

    def to_json(self) -> str:
        return json.dumps({**asdict(self), "ending": self.ending.value}, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Attempt:
        """The inverse of `to_json`; an earlier version, which did not say who trembled, still says who was pushed."""
        table = json.loads(line)
        table.setdefault("disturbed", table.get("pushes", 0) > 0)
        names = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in table.items() if k in names} | {"ending": Ending(table["ending"])})


def read_attempts(path: Path) -> list[Attempt]:
    """Every whole line; the half line of a crash was never an attempt.  Raises RecordError."""
    found = []
    lines = path.read_bytes().split(b"\n") if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            found += [Attempt.from_json(line.decode())] if line.strip() else []
        except (UnicodeDecodeError, json.JSONDecodeError):
            continue
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"{path}:{number} is not an attempt: {error}", f"mv {path.parent} {path.parent}.old") from error
    return found


def attempt_seed(seed: int, suite: str, task_id: int, number: int) -> int:
    """The seed of one attempt, below 2**32: its own, whatever else is made, and another one in a data set of another seed."""
    return int(np.random.SeedSequence([seed, load_suite(suite).number, task_id, number]).generate_state(1)[0])


@dataclass
class TaskBook:
    """The attempts at one task, until it has `wanted` demonstrations or is given up."""

    suite: Suite
    task: Task
    wanted: int
    attempts: dict[int, Attempt] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, int]:
        return self.suite.name, self.task.id

    @property
    def file(self) -> Path:
        """Where its demonstrations are, relative to the folder: as in LIBERO's own data."""
        return Path(self.suite.libero_name) / f"{self.task.name}_demo.hdf5"

    def part(self, number: int) -> Path:
        """Where the demonstration of one attempt waits for the others."""
        return Path(PARTS) / self.suite.libero_name / self.task.name / f"attempt_{number:04d}.hdf5"

    @property
    def kept(self) -> list[Attempt]:
        return [a for _, a in sorted(self.attempts.items()) if a.ending is Ending.SUCCESS]

    @property
    def rate(self) -> Rate:
        """Successes of what the expert tried: starts that were rejected and errors say nothing about it."""
        tried = [a for a in self.attempts.values() if a.ending in (Ending.SUCCESS, Ending.FAILURE)]
        return wilson(len(self.kept), len(tried))

    @property
    def limit(self) -> int:
        """How many attempts there may be."""
        return HOPELESS if not self.kept else max(HOPELESS, MOST_PER_DEMO * self.wanted)

    @property
    def done(self) -> bool:
        return len(self.kept) >= self.wanted or self._first_missing(()) is None

    def next(self, in_flight: Collection[int]) -> int | None:
        """The number of the next attempt that is needed even if all those in flight succeed; None when there is none."""
        if len(self.kept) + len(in_flight) >= self.wanted:
            return None
        return self._first_missing(in_flight)

    def forget_errors(self) -> None:
        """An unfinished task makes its attempts that ended in errors again."""
        if not self.done:
            self.attempts = {n: a for n, a in self.attempts.items() if a.ending is not Ending.ERROR}

    def _first_missing(self, in_flight: Collection[int]) -> int | None:
        return next((n for n in range(self.limit) if n not in self.attempts and n not in in_flight), None)


def fill(books: Iterable[TaskBook], attempts: Iterable[Attempt]) -> None:
    """Enter recorded attempts into the books of their tasks; what was recorded twice counts as it was last."""
    by_key = {book.key: book for book in books}
    for attempt in attempts:
        if book := by_key.get((attempt.suite, attempt.task_id)):
            book.attempts[attempt.number] = attempt
