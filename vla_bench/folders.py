"""The output folder of a command: one writer, one configuration, resumed by the same command."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

from vla_bench.errors import NotComparableError, RecordError
from vla_bench.files import sweep
from vla_bench.lines import own_file
from vla_bench.locks import lock
from vla_bench.records import write_atomically

ERRORS = "errors.log"
RUN, DEMOS = "run.json", "demos.json"
# What says of a folder what it holds: the file with its configuration, and the files that only this kind has.
KINDS = {
    RUN: ("a run", ("episodes.jsonl", "queries.jsonl")),
    DEMOS: ("demonstrations", ("attempts.jsonl",)),
}


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
            sweep(self.path, age_s=0)
        except OSError as error:
            raise RecordError(f"cannot use folder {self.path}: {error.strerror}", f"df -h {self.path.parent}") from error

    def refuse_foreign(self, own: str, fix: str) -> None:
        """Refuse content that this command did not write, so that no episode is taken for one of another configuration.

        own: the file with the configuration, of `KINDS`.  Raises NotComparableError where the folder holds the other kind, or
        has records without a configuration; RecordError for records that are links.
        """
        for about, (what, records) in KINDS.items():
            for name in (about, *records):
                if (self.path / name).is_symlink():
                    quoted = shlex.quote(str(self.path / name))
                    raise RecordError(
                        f"{self.path / name} is a link, and records are files of their own folder", f"ls -l {quoted}"
                    )
            found = [name for name in (about, *records) if (self.path / name).exists()]
            if found and (about != own or about not in found):
                lacks = "" if about != own else f" without {about}: with which configuration they were made is not known"
                raise NotComparableError(f"{self.path} holds {found[0]} of {what}{lacks}", fix)

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
            with open(path, "a", encoding="utf-8", errors="backslashreplace", opener=own_file) as file:
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
