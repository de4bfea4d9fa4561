"""The demonstration files that `--data` names: those of a folder, or one file."""

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
    files = sorted(path for folder in _folders(data) for path in folder.iterdir() if path.name.endswith(SUFFIX))
    if not files and unfinished(data):
        raise RecordError(f"no task of the demonstrations in {data} is complete", "repeat their `vla-bench demos` command")
    if not files:
        raise RecordError(f"{data} holds no demonstrations (*{SUFFIX})", f"vla-bench demos --out {data}")
    return files


def prepared(data: Path) -> Path:
    """The folder of prepared images, beside the demonstrations."""
    return (data.parent if data.is_file() else data) / ".frames"


def unfinished(data: Path) -> list[Path]:
    """Folders of `vla-bench demos`, `data` or below it, with incomplete tasks."""
    if data.is_file():
        return []
    return [folder for folder in _folders(data) if (folder / ABOUT).exists() and (folder / PARTS).exists()]


def _folders(data: Path) -> Iterator[Path]:
    """`data` and every folder below it, links followed, each once, since links may form loops."""
    seen = set()
    for name, below, _ in os.walk(data, followlinks=True):
        below.sort()
        if (folder := os.path.realpath(name)) in seen:
            below.clear()
            continue
        seen.add(folder)
        yield Path(name)
