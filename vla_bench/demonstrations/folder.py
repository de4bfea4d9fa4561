"""A folder of demonstrations while it is being filled: locked, resumable, and never holding half a demonstration.

demos.json                       what decides a demonstration; another configuration is refused
attempts.jsonl                   one line per finished attempt, kept or not
parts/SUITE/TASK/*.hdf5          one file per demonstration, until its task is complete
libero_object/TASK_demo.hdf5     the demonstrations of a complete task
report.md                        the table
errors.log                       traces of what went wrong
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vla_bench import environment
from vla_bench.demonstrations.attempts import PARTS, AttemptRecord, TaskProgress, enter, read_attempts
from vla_bench.demonstrations.hdf5 import attempts_in, merge
from vla_bench.errors import RecordError, VlaBenchError
from vla_bench.folders import OutputFolder
from vla_bench.records import append_line, config_hash
from vla_bench.rollout.journal import timestamp
from vla_bench.suites import load_suites

ABOUT = "demos.json"
OTHER_FOLDER = "choose another folder with --out"


class DemoFolder(OutputFolder):
    """Opens or resumes `path` for demonstrations of `config`.  Raises RecordError, NotComparableError."""

    def __init__(self, path: Path, config: dict, command: str):
        super().__init__(path)
        try:
            before = self._recorded()
            if before is None:
                about = {"created": timestamp(time.time()), "command": command, "config": config}
                about |= {"config_hash": config_hash(config)}
                about |= {"environment": environment.describe(), "git_commit": environment.git_commit()}
                self.write_text(ABOUT, json.dumps(about, indent=2, allow_nan=False) + "\n")
            else:
                self.refuse_other("demonstrations", before, config, OTHER_FOLDER)
            self._clear_left_overs()
        except VlaBenchError:
            self.close()
            raise

    def _clear_left_overs(self) -> None:
        """Half-written files of a process that was killed; nobody else writes here now."""
        try:
            for left_over in (self.path / PARTS).glob("**/.*"):
                left_over.unlink()
        except OSError as error:
            raise RecordError(f"cannot clear {self.path / PARTS}: {error.strerror}", f"ls -lR {self.path / PARTS}") from error

    def _recorded(self) -> dict | None:
        """The configuration of the demonstrations that are here; None where there are none."""
        path = self.path / ABOUT
        try:
            return json.loads(path.read_text(encoding="utf-8"))["config"] if path.exists() else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{path} cannot be read: {error}", OTHER_FOLDER) from error

    def resume(self, tasks: Sequence[TaskProgress]) -> None:
        """Enter what is recorded into `tasks`, but for successes whose demonstration is gone and errors to be tried again."""
        enter(read_attempts(self.path / "attempts.jsonl"), tasks)
        for progress in tasks:
            there = self._assembled(progress) | {n for n in progress.attempts if (self.path / progress.part(n)).exists()}
            lost = {a.number for a in progress.successes} - there
            progress.attempts = {n: a for n, a in progress.attempts.items() if n not in lost}
            progress.forget_errors()
            self.assemble(progress)

    def others(self, tasks: Sequence[TaskProgress]) -> list[TaskProgress]:
        """Tasks that are not among `tasks` but have attempts here: made by another command, content with what they have."""
        known = {progress.key for progress in tasks}
        found = [TaskProgress(suite, task, 0) for suite in load_suites() for task in suite.tasks]
        found = [progress for progress in found if progress.key not in known]
        enter(read_attempts(self.path / "attempts.jsonl"), found)
        return [replace(progress, wanted=len(progress.successes)) for progress in found if progress.attempts]

    def add(self, attempt: AttemptRecord, progress: TaskProgress) -> None:
        """Record a finished attempt; its demonstration is on the disk already."""
        append_line(self.path / "attempts.jsonl", attempt.to_json())
        if attempt.error is not None:
            self.log_error(f"{attempt.suite} {attempt.task_id} attempt {attempt.number}: {attempt.error}")
        progress.attempts[attempt.number] = attempt
        self.assemble(progress)

    def assemble(self, progress: TaskProgress) -> None:
        """Once a task is complete: put its demonstrations into one file, in the order of their attempts."""
        parts = [
            self.path / progress.part(a.number) for a in progress.successes if (self.path / progress.part(a.number)).exists()
        ]
        if not progress.done or not parts:
            return
        target = self.path / progress.file
        before = self._assembled(progress)
        fresh = [self.path / progress.part(a.number) for a in progress.successes if a.number not in before]
        if fresh:
            merge(target, [*([target] if before else []), *fresh])
        # Only now are the parts of no use any more.
        for part in parts:
            part.unlink()
        for folder in (parts[0].parent, *parts[0].parent.parents[:2]):
            if not any(folder.iterdir()):
                folder.rmdir()

    def _assembled(self, progress: TaskProgress) -> set[int]:
        target = self.path / progress.file
        return attempts_in(target) if target.exists() else set()
