"""The training's log: one CSV row a step."""

from __future__ import annotations

import csv
import os
from pathlib import Path


class Log:
    """Appends to `path`; rows behind `step`, written by a run that was killed after its last state, are dropped first."""

    def __init__(self, path: Path, step: int):
        self.path = path
        rows = [row for row in read_log(path) if row["step"] <= step]
        self._names = list(rows[0]) if rows else []
        temporary = path.with_name(f".{path.name}.{os.getpid()}")  # a kill while rows are written again leaves them all
        self._file = open(temporary, "w", newline="")
        for row in rows:
            self._row(row)
        os.replace(temporary, path)

    def write(self, step: int, seen: dict[str, float]) -> None:
        row = {"step": step, **seen}
        self._names = self._names or list(row)
        self._row(row)

    def _row(self, row: dict[str, float]) -> None:
        if self._file.tell() == 0:
            csv.writer(self._file).writerow(self._names)
        csv.writer(self._file).writerow([f"{row[name]:.6g}" for name in self._names])
        self._file.flush()


def read_log(path: Path) -> list[dict[str, float]]:
    """All whole rows; a kill may have left half of one."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        rows = list(csv.reader(file))
    if not rows:
        return []
    return [dict(zip(rows[0], map(float, row), strict=True)) for row in rows[1:] if len(row) == len(rows[0]) and all(row)]
