"""A folder of demonstrations: locked while it is written, resumable, without incomplete demonstrations.

demos.json                       the configuration; another one is refused
attempts.jsonl                   one line per finished attempt, successful or not
parts/SUITE/TASK/*.hdf5          one file per demonstration, until its task is complete
libero_object/TASK_demo.hdf5     the demonstrations of a complete task
report.md                        the table
errors.log                       error traces
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vla_bench import environment
from vla_bench.demonstrations.attempts import PARTS, AttemptRecord, TaskProgress, enter, read_attempts
from vla_bench.demonstrations.hdf5 import attempts_in, merge
from vla_bench.documents import read_object, typed
from vla_bench.errors import RecordError, VlaBenchError
from vla_bench.folders import DEMOS, OutputFolder
from vla_bench.lines import append_line
from vla_bench.records import config_hash
from vla_bench.rollout.journal import timestamp
from vla_bench.suites import load_suites

ABOUT = DEMOS
OTHER_FOLDER = "choose another folder with --out"


class DemoFolder(OutputFolder):
    """Opens or resumes `path` for demonstrations of `config`.  Raises RecordError, NotComparableError."""

    def __init__(self, path: Path, config: dict, command: str):
        super().__init__(path)
        try:
            self.refuse_foreign(ABOUT, OTHER_FOLDER)
            about = self._recorded()
            if about is None:
                about = {"created": timestamp(time.time()), "command": command}
                about |= {"environment": environment.describe(), "git_commit": environment.git_commit()}
                self._describe(about, config)
            else:
                before, now = _with_all_weights(about["config"], config)
                self.refuse_other("demonstrations", before, now, OTHER_FOLDER)
                if now != about["config"]:
                    self._describe(about, now)
            self._clear_temporary_files()
        except VlaBenchError:
            self.close()
            raise

    def _clear_temporary_files(self) -> None:
        """Delete incomplete files of a killed process; no other process writes here now."""
        try:
            for file in (self.path / PARTS).glob("**/.*"):
                file.unlink()
        except OSError as error:
            raise RecordError(f"cannot clear {self.path / PARTS}: {error.strerror}", f"ls -lR {self.path / PARTS}") from error

    def _describe(self, about: dict, config: dict) -> None:
        about |= {"config": config, "config_hash": config_hash(config)}
        self.write_text(ABOUT, json.dumps(about, indent=2, allow_nan=False) + "\n")

    def _recorded(self) -> dict | None:
        """demos.json with its configuration; None for a new folder."""
        path = self.path / ABOUT
        try:
            about = read_object(path)
            typed(about["config"], dict[str, Any])
            return about
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError) as error:
            raise RecordError(f"{path} cannot be read: {error}", OTHER_FOLDER) from error

    def resume(self, tasks: Sequence[TaskProgress]) -> None:
        """Enter recorded attempts into `tasks`, without successes whose demonstration is missing and errors to retry."""
        enter(read_attempts(self.path / "attempts.jsonl"), tasks)
        for progress in tasks:
            present = self._assembled(progress) | {n for n in progress.attempts if (self.path / progress.part(n)).exists()}
            lost = {a.number for a in progress.successes} - present
            progress.attempts = {n: a for n, a in progress.attempts.items() if n not in lost}
            progress.forget_errors()
            self.assemble(progress)

    def others(self, tasks: Sequence[TaskProgress]) -> list[TaskProgress]:
        """Tasks not among `tasks` that have attempts in this folder, made by another command; they want no more."""
        known = {progress.key for progress in tasks}
        others = [TaskProgress(suite, task, 0) for suite in load_suites() for task in suite.tasks]
        others = [progress for progress in others if progress.key not in known]
        enter(read_attempts(self.path / "attempts.jsonl"), others)
        return [replace(progress, wanted=len(progress.successes)) for progress in others if progress.attempts]

    def add(self, attempt: AttemptRecord, progress: TaskProgress) -> None:
        """Record a finished attempt; its demonstration is on the disk already."""
        append_line(self.path / "attempts.jsonl", attempt.to_json())
        if attempt.error is not None:
            self.log_error(f"{attempt.suite} {attempt.task_id} attempt {attempt.number}: {attempt.error}")
        progress.attempts[attempt.number] = attempt
        self.assemble(progress)

    def assemble(self, progress: TaskProgress) -> None:
        """Once a task is complete, merge its demonstrations into one file, in the order of their attempts."""
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
        # The parts are merged and can be deleted.
        for part in parts:
            part.unlink()
        for folder in (parts[0].parent, *parts[0].parent.parents[:2]):
            if not any(folder.iterdir()):
                folder.rmdir()

    def _assembled(self, progress: TaskProgress) -> set[int]:
        target = self.path / progress.file
        return attempts_in(target) if target.exists() else set()


def _with_all_weights(before: dict, now: dict) -> tuple[dict, dict]:
    """Two configurations, each with the other's learner weights for suites of which it has none.

    A learner that acts in one suite after the other is one learner: what both know of it must agree, not the suites.
    """
    old, new = before.get("learner_weights"), now.get("learner_weights")
    if not isinstance(old, dict) or not isinstance(new, dict):
        return before, now
    return before | {"learner_weights": {**new, **old}}, now | {"learner_weights": {**old, **new}}
