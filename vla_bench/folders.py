"""The output folder of a command: one writer, one configuration, resumed by the same command."""

from __future__ import annotations

import json
import os
from pathlib import Path

from vla_bench.errors import NotComparableError, RecordError
from vla_bench.locks import lock
from vla_bench.records import write_atomically

ERRORS = "errors.log"


class OutputFolder:
    """Creates the folder if needed, and holds its lock until `close`.  Raises RecordError."""

    def __init__(self, path: Path):
        self.path = path
        self._lock: int | None = None
        self._open()

    def _open(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.path)
        except OSError as error:
            raise RecordError(f"cannot use folder {self.path}: {error.strerror}", f"df -h {self.path.parent}") from error

    def set_aside(self) -> Path:
        """Rename the folder to NAME.old1, .old2, ..., and create an empty one.  Returns the renamed one; raises RecordError."""
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.old{number}")).exists():
            number += 1
        try:
            os.rename(self.path, aside)
        except OSError as error:
            raise RecordError(f"cannot rename {self.path}: {error.strerror}", f"ls -ld {self.path.parent}") from error
        self.close()
        self._open()
        return aside

    def refuse_other(self, what: str, before: dict, now: dict, fix: str) -> None:
        """Raise NotComparableError with the differences, unless the configuration `now` equals the recorded `before`.

        what: content of the folder, as "a run".
        """
        refuse_other(self.path, what, before, now, fix)

    def log_error(self, text: str) -> None:
        """Append a full error trace to errors.log.  Raises RecordError."""
        path = self.path / ERRORS
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(text.rstrip() + "\n")
        except OSError as error:
            raise RecordError(f"cannot write {path}: {error.strerror}", f"df -h {self.path}") from error

    def write_text(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def refuse_other(path: Path, what: str, before: dict, now: dict, fix: str) -> None:
    """As `OutputFolder.refuse_other`, of a folder that is not open."""
    now = json.loads(json.dumps(now))  # as it is read back from JSON
    if before != now:
        lines = "\n".join(differences(before, now))
        raise NotComparableError(f"{path} holds {what} of another configuration:\n{lines}", fix)


def differences(before: dict, now: dict, prefix: str = "") -> list[str]:
    """One line per value in which two configurations differ."""
    lines = []
    for key in sorted({*before, *now}):
        old, new = (repr(config[key]) if key in config else "nothing" for config in (before, now))
        if isinstance(before.get(key), dict) and isinstance(now.get(key), dict):
            lines += differences(before[key], now[key], f"{prefix}{key}.")
        elif old != new:
            lines.append(f"  {prefix}{key}: {old} there, {new} now")
    return lines
