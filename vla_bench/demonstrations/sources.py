"""Where the demonstrations of one task are: an HDF5 file, or a task of a LeRobot data set."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias, Union

from vla_bench.demonstrations.hdf5 import DemoFile, suite_name
from vla_bench.demonstrations.lerobot.reading import LeRobotFile, LeRobotTask

DemoSource: TypeAlias = Union[Path, LeRobotTask]


def open_demos(source: DemoSource) -> DemoFile | LeRobotFile:
    """Open for reading.  Raises RecordError."""
    return LeRobotFile(source) if isinstance(source, LeRobotTask) else DemoFile(source)


def suite_of(source: DemoSource) -> str:
    """LIBERO's name of its suite."""
    return source.suite if isinstance(source, LeRobotTask) else suite_name(source)


def place_of(source: DemoSource) -> str:
    """The one name of a source, however it is reached."""
    return f"{source.root.resolve()}\0{source.instruction}" if isinstance(source, LeRobotTask) else str(source.resolve())


def state_of(source: DemoSource) -> tuple[int, ...]:
    """Sizes and times of the last change of its files: another state, other demonstrations."""
    if isinstance(source, Path):
        return _state(source)
    parts = sorted(path for part in ("meta", "data", "videos") for path in (source.root / part).rglob("*") if path.is_file())
    return tuple(number for path in parts for number in _state(path))


def _state(path: Path) -> tuple[int, int]:
    try:
        stat = os.stat(path)
    except OSError:  # a link into nowhere: refused when it is opened
        return 0, 0
    return stat.st_size, stat.st_mtime_ns
