"""Folder locks: one writer a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vla_bench.errors import RecordError


def lock(path: Path) -> int | None:
    """An exclusive lock on a folder, released by the system when the process dies; None on Windows.

    Raises RecordError where another process holds it.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    descriptor = os.open(path / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise RecordError(f"another vla-bench is writing to {path}", "wait for it, or choose another folder with --out") from None
    return descriptor


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a folder while inside.  Raises RecordError."""
    descriptor = lock(path)
    try:
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)
