"""Files of JSON lines that only grow: append one, read them all, and tell the half line of a crash from damage.

A crash leaves at most half a line, and only at the end: the next append moves it to a file of its own beside (`NAME.torn`).  So a
line that cannot be read and is not the end of its file was changed or lost after it was written.
"""

from __future__ import annotations

import json
import math
import os
import shlex
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from vla_bench.errors import DamagedRunError, RecordError


def append_line(path: Path, line: str) -> None:
    """Append one line and wait until it is on the disk.  Raises RecordError; nothing of the line stays then."""
    try:
        with open(path, "ab+", buffering=0) as file:
            _end_last_line(file, path)
            size = file.seek(0, os.SEEK_END)
            try:
                _write(file, line.encode() + b"\n")
            except OSError:
                file.truncate(size)
                raise
    except OSError as error:
        raise RecordError(f"cannot record an episode in {path}: {error.strerror}", f"df -h {path.parent}") from error


def _write(file: FileIO, data: bytes) -> None:
    while data:
        data = data[file.write(data) :]
    os.fsync(file.fileno())


def _end_last_line(file: FileIO, path: Path) -> None:
    """Where the last line has no end: end it if it is whole, else move it to NAME.torn."""
    if not file.seek(0, os.SEEK_END):
        return
    file.seek(-1, os.SEEK_END)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    data = file.readall()
    last = data.rpartition(b"\n")[2]
    try:
        parse(last)
    except ValueError:
        with open(path.with_name(f"{path.name}.torn"), "ab", buffering=0) as aside:
            _write(aside, last + b"\n")
        file.truncate(len(data) - len(last))
    else:
        _write(file, b"\n")


def parse(line: bytes | str) -> object:
    """The JSON value of a line, all of its numbers finite.  Raises ValueError."""
    text = line.decode() if isinstance(line, bytes) else line
    return json.loads(text, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return value


def read_lines(path: Path) -> Iterator[tuple[int, object]]:
    """The lines of a file with their numbers, from 1; nothing where there is no file.

    Half a line at the end is what a crash left, and skipped.  Raises DamagedRunError for any other that cannot be read.
    """
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            table = parse(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise damaged(path, number, f"is damaged: {error}") from error
        yield number, table


def damaged(path: Path, number: int, what: str, other: int | None = None) -> DamagedRunError:
    """The error of a line that cannot be used.  `what`: as "is damaged: why".  other: a line that it contradicts."""
    folder, file = shlex.quote(str(path.parent)), shlex.quote(str(path))
    if path.name == "episodes.jsonl":
        lines = f"{number}d" if other is None else f"'{other}d;{number}d'"
        take_out = f"sed -i.line{number} {lines} {file}"  # sed keeps the file as it was
        fix = f"{take_out} && vla-bench eval --out {folder} ..., which runs that episode again"
    else:
        fix = f"vla-bench eval --fresh --out {folder} ..."
    return DamagedRunError(f"{path}:{number} {what}", fix)
