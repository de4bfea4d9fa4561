"""What a training uses of its demonstrations: how many of how many, what was converted, what was left out and why."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.errors import RecordError

FILE = "data.json"
SHOWN = 3  # demonstrations of a file that a line names


@dataclass(frozen=True)
class FileAccount:
    """Of one file.

    count: demonstrations in it; 0 where it could not be read.
    left_out: name of a demonstration left out -> why.  converted: what was converted -> in how many demonstrations.
    refused: why nothing of the file can be used, or None.  fix: what helps.
    """

    file: str
    instruction: str = ""
    count: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    converted: dict[str, int] = field(default_factory=dict)
    refused: str | None = None
    fix: str | None = None

    @property
    def used(self) -> int:
        return 0 if self.refused else self.count - len(self.left_out)

    def lines(self) -> list[str]:
        """What was left out, for people."""
        if self.refused:
            return [self.refused]
        if not self.left_out:
            return []
        shown = "; ".join(list(self.left_out.values())[:SHOWN])
        more = f"; and {len(self.left_out) - SHOWN} more" if len(self.left_out) > SHOWN else ""
        return [f"{self.file}: {len(self.left_out)} of {self.count} demonstrations: {shown}{more}"]


def account_of(demos: UsableDemos) -> dict[str, object]:
    """The fields of a `FileAccount` after all of a file was read."""
    return {"instruction": demos.instruction, "count": demos.count, "left_out": demos.left_out, "converted": demos.converted}


def refusal(files: Sequence[FileAccount]) -> RecordError:
    """The error where nothing of any file can be used."""
    first = files[0]
    others = f"none of {len(files)} files can be used: " if len(files) > 1 else ""
    return RecordError(f"{others}{first.refused}", first.fix)


@dataclass(frozen=True)
class DataAccount:
    """Of all files.  steps: used for training.  ignored: files with HDF5's suffix that are not named like demonstrations."""

    files: Sequence[FileAccount]
    steps: int
    ignored: Sequence[Path] = ()

    def summary(self) -> str:
        used = [account for account in self.files if account.used]
        demos = sum(account.used for account in self.files)
        # Nobody knows how many demonstrations are in a file that cannot be read.
        return (
            f"data: {len(used)} of {len(self.files)} files, {demos:,} of {sum(account.count for account in used):,} "
            f"demonstrations in them, {self.steps:,} steps"
        )

    def warn(self) -> None:
        """Log every conversion and all that is left out, with the counts; nothing where there is neither."""
        lines = [f"left out: {line}" for account in self.files for line in account.lines()]
        conversions = Counter({note: 0 for account in self.files for note in account.converted})
        for account in self.files:
            conversions.update(account.converted)
        for note, count in conversions.items():
            files = [account.file for account in self.files if note in account.converted]
            where = files[0] if len(files) == 1 else f"{len(files)} files, as {files[0]}"
            lines.append(f"converted: {where}: {note} ({count} demonstrations)")
        lines += [f"ignored: {path}: its name does not end in _demo.hdf5" for path in self.ignored]
        for line in [*lines, self.summary()] if lines else []:
            logging.getLogger(__name__).warning("%s", line)

    def refuse_left_out(self) -> None:
        """Raises RecordError where anything was left out."""
        lines = [line for account in self.files for line in account.lines()]
        if lines:
            more = f"; and of {len(lines) - 1} more files" if len(lines) > 1 else ""
            raise RecordError(
                f"--strict: {lines[0]}{more}. {self.summary()}", "repeat the command without --strict, which leaves them out"
            )

    def write(self, folder: Path) -> None:
        """Write it as `data.json`.  Raises RecordError."""
        table = {
            "summary": self.summary(),
            "steps": self.steps,
            "files": [
                {"file": a.file, "instruction": a.instruction, "demonstrations": a.count, "used": a.used}
                | {"left_out": a.left_out, "converted": a.converted, "refused": a.refused}
                for a in self.files
            ],
            "ignored": [str(path) for path in self.ignored],
        }
        try:
            (folder / FILE).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise RecordError(f"cannot write {folder / FILE}: {error}", f"df -h {folder}") from error
