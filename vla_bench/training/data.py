"""What `--data` means: the demonstration files of a folder, or one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vla_bench.demonstrations.attempts import PARTS
from vla_bench.demonstrations.folder import ABOUT
from vla_bench.demonstrations.hdf5 import SUFFIX
from vla_bench.errors import RecordError


def demo_files(data: Path) -> list[Path]:
    """Every demonstration file below a folder, links followed; or `data` itself, where it is a file.

    Raises RecordError where there is none.
    """
    if data.is_file():
        return [data]
    if not data.exists():
        raise RecordError(f"{data} does not exist", f"vla-bench demos --out {data}")
    found = sorted(path for folder in _folders(data) for path in folder.iterdir() if path.name.endswith(SUFFIX))
    if not found and unfinished(data):
        raise RecordError(f"no task of the demonstrations in {data} is complete", "repeat their `vla-bench demos` command")
    if not found:
        raise RecordError(f"{data} holds no demonstrations (*{SUFFIX})", f"vla-bench demos --out {data}")
    return found


def prepared(data: Path) -> Path:
    """Where the pictures prepared of demonstrations lie: beside them."""
    return (data.parent if data.is_file() else data) / ".frames"


def unfinished(data: Path) -> list[Path]:
    """The folders of `vla-bench demos`, `data` or below it, that have tasks whose demonstrations are not all made."""
    if data.is_file():
        return []
    return [folder for folder in _folders(data) if (folder / ABOUT).exists() and (folder / PARTS).exists()]


def _folders(data: Path) -> Iterator[Path]:
    """`data` and every folder below it, links followed, each once whatever the links to it: they may form loops."""
    seen = set()
    for name, below, _ in os.walk(data, followlinks=True):
        below.sort()
        if (place := os.path.realpath(name)) in seen:
            below.clear()
            continue
        seen.add(place)
        yield Path(name)
