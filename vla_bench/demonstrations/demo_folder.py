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
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vla_bench import environment
from vla_bench.demonstrations.attempts import PARTS, Attempt, TaskBook, fill, read_attempts
from vla_bench.demonstrations.demo_file import attempts_in, merge
from vla_bench.errors import NotComparableError, RecordError
from vla_bench.locks import lock
from vla_bench.records import append_line, config_hash, write_atomically
from vla_bench.rollout.folder import differences
from vla_bench.rollout.journal import timestamp
from vla_bench.suites import load_suites

ABOUT = "demos.json"


class DemoFolder:
    """Opens or resumes `path` for demonstrations of `config`.  Raises RecordError, NotComparableError."""

    def __init__(self, path: Path, config: dict, command: str):
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = lock(path)
            for left_over in (path / PARTS).glob("**/.*"):  # of a process that was killed; nobody else writes here now
                left_over.unlink()
        except OSError as error:
            raise RecordError(f"cannot use folder {path}: {error.strerror}", f"df -h {path.parent}") from error
        try:
            self._agree(config, command)
        except (RecordError, NotComparableError):
            self.close()
            raise

    def _agree(self, config: dict, command: str) -> None:
        """The folder's configuration is this one: recorded now, or found to be the same."""
        path = self.path / ABOUT
        if not path.exists():
            about = {"created": timestamp(time.time()), "command": command, "config": config, "config_hash": config_hash(config)}
            about |= {"environment": environment.describe(), "git_commit": environment.git_commit()}
            write_atomically(path, json.dumps(about, indent=2, allow_nan=False) + "\n")
            return
        try:
            before = json.loads(path.read_text(encoding="utf-8"))["config"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RecordError(f"{path} cannot be read: {error}", "choose another folder with --out") from error
        if before != config:
            raise NotComparableError(
                f"{self.path} holds demonstrations of another configuration:\n" + "\n".join(differences(before, config)),
                "choose another folder with --out",
            )

    def resume(self, books: Sequence[TaskBook]) -> None:
        """Enter what is recorded into `books`, but for successes whose demonstration is gone and errors to be tried again."""
        fill(books, read_attempts(self.path / "attempts.jsonl"))
        for book in books:
            there = self._assembled(book) | {n for n in book.attempts if (self.path / book.part(n)).exists()}
            lost = {a.number for a in book.kept} - there
            book.attempts = {n: a for n, a in book.attempts.items() if n not in lost}
            book.forget_errors()
            self.assemble(book)

    def others(self, books: Sequence[TaskBook]) -> list[TaskBook]:
        """Tasks that are not among `books` but have attempts here: made by another command, content with what they have."""
        known = {book.key for book in books}
        found = [
            TaskBook(suite, task, 0) for suite in load_suites() for task in suite.tasks if (suite.name, task.id) not in known
        ]
        fill(found, read_attempts(self.path / "attempts.jsonl"))
        return [replace(book, wanted=len(book.kept)) for book in found if book.attempts]

    def add(self, attempt: Attempt, book: TaskBook) -> None:
        """Record a finished attempt; its demonstration is on the disk already."""
        append_line(self.path / "attempts.jsonl", attempt.to_json())
        if attempt.error is not None:
            append_line(self.path / "errors.log", f"{book.suite.name} {book.task.id} attempt {attempt.number}: {attempt.error}")
        book.attempts[attempt.number] = attempt
        self.assemble(book)

    def assemble(self, book: TaskBook) -> None:
        """Once a task is complete: put its demonstrations into one file, in the order of their attempts."""
        parts = [self.path / book.part(a.number) for a in book.kept if (self.path / book.part(a.number)).exists()]
        if not book.done or not parts:
            return
        target = self.path / book.file
        before = self._assembled(book)
        fresh = [self.path / book.part(a.number) for a in book.kept if a.number not in before]
        if fresh:
            merge(target, [*([target] if before else []), *fresh])
        # Only now are the parts of no use any more.
        for part in parts:
            part.unlink()
        for folder in (parts[0].parent, *parts[0].parent.parents[:2]):
            if not any(folder.iterdir()):
                folder.rmdir()

    def _assembled(self, book: TaskBook) -> set[int]:
        target = self.path / book.file
        return attempts_in(target) if target.exists() else set()

    def write_report(self, text: str) -> None:
        write_atomically(self.path / "report.md", text)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
