"""What lies below a folder: run folders, summaries and sweeps.  Links are not followed, and the walk has an end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vla_bench.errors import RecordError
from vla_bench.results.sources import Source, source
from vla_bench.results.sweep_file import SWEEP

RUN = "run.json"
DEEPEST = 6  # folders below the one given
MOST = 50_000  # files and folders that are looked at
HEAD = 1 << 16  # bytes of a file by which a summary is told from other JSON
ITS_FIELDS = b'"command"', b'"status"', b'"config_hash"'  # of a summary, before everything in it that may be long
NOT_ITS = b'"run_id"'  # a field of the other files that have these


@dataclass
class Found:
    """runs: run folders and summaries by path, those in sweeps, too.  sweeps: their folders.  notes: what was not looked at."""

    runs: dict[Path, Source] = field(default_factory=dict)
    sweeps: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    looked_at: int = 0

    def add(self, path: Path) -> None:
        self.runs.setdefault(path, source(path))


def find_runs(paths: Sequence[Path]) -> Found:
    """Below these folders, or what they are themselves.  Raises RecordError for a path that does not exist."""
    found = Found()
    for path in paths:
        if not path.exists():
            raise RecordError(
                f"{path} does not exist", "vla-bench eval, which writes runs to results/runs; or vla-bench runs DIR"
            )
        if path.is_dir():
            _walk(found, path, 0)
        else:
            found.add(path)
    return found


def _walk(found: Found, folder: Path, depth: int) -> None:
    """A run folder has no other runs in it: its films and actions are not looked at."""
    try:
        with os.scandir(folder) as opened:
            entries = sorted(opened, key=lambda entry: entry.name)
    except OSError as error:
        found.notes.append(f"{folder} cannot be read: {error.strerror}")
        return
    names = {entry.name for entry in entries}
    if RUN in names:
        return found.add(folder)
    if SWEEP in names and folder not in found.sweeps:
        found.sweeps.append(folder)
    for entry in entries:
        found.looked_at += 1
        if found.looked_at > MOST:
            if found.looked_at == MOST + 1:
                found.notes.append(f"there are more than {MOST:,} files: give a folder further down than {folder}")
            return
        if entry.name.startswith(".") or entry.is_symlink():
            continue
        path = folder / entry.name
        if entry.is_dir():
            if depth < DEEPEST:
                _walk(found, path, depth + 1)
            else:
                found.notes.append(f"{path} is too deep to be looked at: give a folder further down")
        elif entry.is_file() and path.suffix == ".json" and _like_summary(path):
            found.add(path)


def _like_summary(path: Path) -> bool:
    """Whether its beginning is that of a summary, damaged or not."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return path.name != SWEEP  # a row that says why it cannot be read
    return all(name in head for name in ITS_FIELDS) and NOT_ITS not in head
