"""Files that appear whole or not at all: synced before they get their name, and what killed writers left is swept."""

from __future__ import annotations

import os
import re
import shutil
import time
from pathlib import Path

WRITTEN = r"[\w.-]+\.(json|jsonl|md|npy|mp4|png|pt|csv)"  # what is written under a temporary name in folders of output
OLD_S = 3600  # nobody still writes to what has not changed for so long


def temporary_for(path: Path) -> Path:
    """The name under which this process writes what becomes `path`: `.NAME.PID`."""
    return path.with_name(f".{path.name}.{os.getpid()}")


def sync(path: Path) -> None:
    """Wait until a file's content is on the disk, so that a new name never leads to less than the whole.  Raises OSError."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def discard(path: Path) -> None:
    """Remove what a failed write left.  Where that fails, too, nothing is said: why the write failed is what counts."""
    try:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    except OSError:
        pass


def is_old(path: Path, age_s: float = OLD_S) -> bool:
    """Whether it is there, and has not changed for so long."""
    try:
        return time.time() - path.lstat().st_mtime >= age_s
    except OSError:
        return False


def sweep(folder: Path, names: str = WRITTEN, age_s: float = OLD_S) -> None:
    """Remove temporary files and folders, `.NAME.PID`, that killed processes left in `folder`.

    names: a regular expression of NAME.
    age_s: seconds for which they must not have changed; 0 where a lock says that nobody else writes.
    """
    try:
        found = [path for path in folder.iterdir() if re.fullmatch(rf"\.{names}\.[0-9]+", path.name)]
    except OSError:
        return
    for path in found:
        if not path.name.endswith(f".{os.getpid()}") and is_old(path, age_s):
            discard(path)
