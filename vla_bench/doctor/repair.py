"""Sets damaged lines of a run aside, so that the same command runs their episodes again.  Nothing is deleted."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from vla_bench.doctor.run_files import DAMAGED, Examination, examine
from vla_bench.errors import DamagedRunError, ExitCode, RecordError, UsageError
from vla_bench.lines import split_lines
from vla_bench.locks import locked
from vla_bench.records import EPISODES, write_atomically, write_run
from vla_bench.results.resume import resume_command


@dataclass(frozen=True)
class Repair:
    """What was damaged, and what was moved to files NAME.damaged beside.  resume: runs the episodes that were set aside again."""

    before: Examination
    moved: list[str]
    resume: str

    @property
    def exit_code(self) -> int:
        return ExitCode.DONE

    def to_dict(self) -> dict[str, object]:
        return self.before.to_dict() | {"moved": self.moved, "resume": self.resume}


def repair(folder: Path) -> Repair:
    """Set damage aside; the rest stays as it is.

    Raises RecordError where another process writes to the run, DamagedRunError where `run.json` itself is damaged: its
    configuration cannot be worked out again.
    """
    if folder.is_file():
        raise UsageError(f"{folder} is a summary, which is written anew from its run", f"vla-bench keep RUN {folder}")
    with locked(folder):
        before = examine(folder)
        if before.run is None:
            what = f"{folder}/{before.damage[0]}; the configuration that its episodes ran with is not known"
            raise DamagedRunError(what, before.fix)
        resume = resume_command(before.run, folder)
        if before.bad[EPISODES] and (before.run.planned is None or before.run.missing(before.episodes)):
            before.run.status = "interrupted"  # first: without a plan nothing else would say so
            write_run(folder, before.run)
        moved = [_set_lines_aside(folder / name, numbers) for name, numbers in before.bad.items() if numbers]
        moved += [_rename(folder, each.file) for each in before.damage if each.line is None and (folder / each.file).exists()]
    return Repair(before, moved, resume)


def _set_lines_aside(path: Path, numbers: set[int]) -> str:
    lines, half = split_lines(path)
    aside = path.with_name(path.name + DAMAGED)
    try:
        with open(aside, "ab") as file:
            file.write(b"".join(line + b"\n" for number, line in lines if number in numbers))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RecordError(f"cannot write {aside}: {error.strerror}", f"df -h {path.parent}") from error
    # Every line that stays was read as JSON text, and the half line of a crash is no text that anyone reads.
    kept = b"".join(line + b"\n" for number, line in lines if number not in numbers) + half
    write_atomically(path, kept.decode(errors="replace"))
    return f"{path.name}: {_count(len(numbers), 'line')} to {aside.name}"


def _rename(folder: Path, name: str) -> str:
    try:
        os.replace(folder / name, folder / f"{name}{DAMAGED}")
    except OSError as error:
        raise RecordError(f"cannot rename {folder / name}: {error.strerror}", f"ls -ld {folder}") from error
    return f"{name} to {name}{DAMAGED}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
