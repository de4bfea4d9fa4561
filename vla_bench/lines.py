"""Files of JSON lines that only grow: append one, read them all, and tell the half line of a crash from damage.

A crash leaves at most half a line, and only at the end: the next append moves it to a file of its own beside (`NAME.torn`).  So a
line that cannot be read and is not the end of its file was changed or lost after it was written.  What JSON cannot show, such as
a changed digit, the checksum at the end of a line does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shlex
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from vla_bench.documents import decode, read_bytes
from vla_bench.errors import DamagedRunError, RecordError

CHECKSUM = "checksum"  # name of a line's last field
_AT_THE_END = re.compile(r', "checksum": "([0-9a-f]{16})"\}$')


def append_line(path: Path, line: str) -> None:
    """Append one line and wait until it is on the disk.  Raises RecordError, also where `path` is a link; nothing of the line
    stays then."""
    try:
        with open(path, "ab+", buffering=0, opener=own_file) as file:
            _end_last_line(file, path)
            size = file.seek(0, os.SEEK_END)
            try:
                _write(file, line.encode() + b"\n")
            except OSError:
                file.truncate(size)
                raise
    except OSError as error:
        raise RecordError(f"cannot record an episode in {path}: {error.strerror}", f"df -h {path.parent}") from error


def own_file(path: str, flags: int) -> int:
    """As `open` opens a file, but never through a link, which may lead to another run's file."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)


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
    if _is_half(last):
        with open(path.with_name(f"{path.name}.torn"), "ab", buffering=0, opener=own_file) as aside:
            _write(aside, last + b"\n")
        file.truncate(len(data) - len(last))
    else:
        _write(file, b"\n")


def checksum(text: str) -> str:
    """16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def with_checksum(line: str) -> str:
    """The line of a JSON object, with a last field `checksum` over all that stands before it."""
    return f'{line[:-1]}, "{CHECKSUM}": "{checksum(line)}"}}'


def parse(line: bytes | str, checked: bool = False) -> object:
    """The JSON value of a line, all of its numbers finite, without its checksum, which is compared.  Raises ValueError.

    checked: a line without a checksum is refused.
    """
    text = line.decode() if isinstance(line, bytes) else line
    if (match := _AT_THE_END.search(text)) is not None:
        text = text[: match.start()] + "}"
        if checksum(text) != match[1]:
            raise ValueError("its checksum does not match")
    elif checked:
        raise ValueError("its checksum is missing")
    return decode(text)


def _is_half(line: bytes) -> bool:
    """Whether this is the beginning of a line; one with a whole JSON value is none, whatever comes behind the value."""
    try:
        json.JSONDecoder().raw_decode(line.decode(errors="replace"))
    except ValueError:
        return True
    except RecursionError:  # nothing that was ever written
        return False
    return False


def split_lines(path: Path) -> tuple[list[tuple[int, bytes]], bytes]:
    """The lines of a file with their numbers, from 1, and the half line at its end that a crash left; nothing without a file.

    Raises RecordError where it cannot be read.
    """
    try:
        *lines, last = read_bytes(path).split(b"\n")
    except FileNotFoundError:
        return [], b""
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}", f"ls -l {shlex.quote(str(path))}") from error
    half = last if last.strip() and _is_half(last) else b""
    numbered = enumerate(lines if half else [*lines, last], 1)
    return [(number, line) for number, line in numbered if line.strip()], half


def read_lines(path: Path, checked: bool = False) -> Iterator[tuple[int, object]]:
    """The values of a file's lines with their numbers, from 1; nothing where there is no file.

    Half a line at the end is what a crash left, and skipped.  Raises DamagedRunError for any other that cannot be read,
    RecordError where the file cannot.
    checked: every line must have a checksum.
    """
    for number, line in split_lines(path)[0]:
        try:
            table = parse(line, checked)
        except ValueError as error:
            raise damaged(path, number, f"is damaged: {error}") from error
        yield number, table


def damaged(path: Path, number: int, what: str) -> DamagedRunError:
    """The error of a line that cannot be used.  `what`: as "is damaged: why"."""
    return DamagedRunError(f"{path}:{number} {what}", f"vla-bench doctor {shlex.quote(str(path.parent))} --repair")
