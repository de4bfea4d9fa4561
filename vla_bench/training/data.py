"""The demonstrations that `--data` names: HDF5 files and LeRobot data sets of a folder, or one file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from vla_bench.demonstrations.attempts import PARTS
from vla_bench.demonstrations.folder import ABOUT
from vla_bench.demonstrations.layout import SUFFIX
from vla_bench.demonstrations.lerobot.reading import is_lerobot, tasks_of
from vla_bench.demonstrations.sources import DemoSource, suite_of
from vla_bench.errors import RecordError, UsageError
from vla_bench.suites import load_suite


def demo_files(data: Path) -> list[DemoSource]:
    """Every demonstration file below a folder, links followed, and every task of its LeRobot data sets; or `data` itself, where
    it is a file.

    Raises RecordError where there is none, or for a data set that cannot be read.
    """
    if data.is_file():
        return [data]
    if not data.exists():
        raise RecordError(f"{data} does not exist", f"vla-bench demos --out {data}")
    folders = list(_folders(data))
    files: list[DemoSource] = sorted(path for folder in folders for path in folder.iterdir() if path.name.endswith(SUFFIX))
    files += [task for folder in folders if is_lerobot(folder) for task in tasks_of(folder)]
    if not files and unfinished(data):
        raise RecordError(f"no task of the demonstrations in {data} is complete", "repeat their `vla-bench demos` command")
    if not files and (others := other_files(data)):
        renamed = others[0].with_name(others[0].stem + SUFFIX)
        raise RecordError(f"{data} holds no demonstrations (*{SUFFIX}), but {others[0]}", f"mv {others[0]} {renamed}")
    if not files:
        raise RecordError(f"{data} holds no demonstrations (*{SUFFIX})", f"vla-bench demos --out {data}")
    return files


def demonstrations(data: Path, suite: str | None) -> list[DemoSource]:
    """The demonstration files of one suite, of all for None.  Raises UsageError where there is none of the suite."""
    files = demo_files(data)
    if suite is None:
        return files
    wanted = load_suite(suite).libero_name
    own = [file for file in files if suite_of(file) == wanted]
    if not own:
        others = ", ".join(sorted({suite_of(file) for file in files}))
        raise UsageError(
            f"{data} has no demonstrations of {wanted}, only of {others}", f"vla-bench demos --suite {suite} --out {data}"
        )
    return own


def other_files(data: Path) -> list[Path]:
    """The HDF5 files below a folder that are not named like demonstrations, without those of incomplete tasks."""
    if data.is_file():
        return []
    parts = [folder / PARTS for folder in unfinished(data)]
    found = (path for folder in _folders(data) for path in folder.iterdir() if path.suffix in (".hdf5", ".h5"))
    mine = (path for path in found if not path.name.endswith(SUFFIX) and not path.name.startswith("."))
    return sorted(path for path in mine if not any(folder in path.parents for folder in parts))


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
