"""Folder locks: one writer a folder."""

from __future__ import annotations

import errno
import os
import shlex
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vla_bench.errors import RecordError


def lock(path: Path) -> int | None:
    """An exclusive lock on a folder, released by the system when the process dies; None on Windows.

    Raises RecordError where another process holds it, or it is no file of the folder's own: two folders with one lock would
    wait for each other, and an unknown file would be opened for writing.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = _open(path / ".lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RecordError(f"another vla-bench is writing to {path}", "wait for it, or choose another folder with --out") from None
    return descriptor


def _open(file: Path) -> int:
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RecordError(f"{file} is a link, and locks are files", f"rm {shlex.quote(str(file))}") from error
        raise RecordError(f"cannot lock {file.parent}: {error.strerror}", f"ls -ld {shlex.quote(str(file.parent))}") from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise RecordError(f"{file} is no file, and locks are files", f"rm {shlex.quote(str(file))}")


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a folder while inside.  Raises RecordError."""
    descriptor = lock(path)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
