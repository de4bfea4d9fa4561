"""The training log: one CSV row per step."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from vla_bench.documents import read_bytes
from vla_bench.errors import RecordError


class Log:
    """Appends to `path`; rows after `step`, written by a killed run after its last saved state, are dropped first."""

    def __init__(self, path: Path, step: int):
        self.path = path
        rows = [row for row in read_log(path) if row["step"] <= step]
        self._names = list(rows[0]) if rows else []
        temporary = path.with_name(f".{path.name}.{os.getpid()}")  # a kill during the rewrite loses no rows
        self._file = open(temporary, "w", newline="")
        for row in rows:
            self._row(row)
        os.replace(temporary, path)

    def write(self, step: int, values: dict[str, float]) -> None:
        row = {"step": step, **values}
        self._names = self._names or list(row)
        self._row(row)

    def _row(self, row: dict[str, float]) -> None:
        if self._file.tell() == 0:
            csv.writer(self._file).writerow(self._names)
        csv.writer(self._file).writerow([f"{row[name]:.6g}" for name in self._names])
        self._file.flush()


def read_log(path: Path) -> list[dict[str, float]]:
    """All complete rows; a kill may leave an incomplete one.  Raises RecordError for a file that is no log."""
    try:
        rows = list(csv.reader(io.StringIO(read_bytes(path).decode(), newline="")))
        return _numbers(rows) if rows else []
    except FileNotFoundError:
        return []
    except (OSError, ValueError, csv.Error) as error:
        raise RecordError(f"{path} is no log of a training: {error}", f"mv {path} {path}.damaged") from error


def _numbers(rows: list[list[str]]) -> list[dict[str, float]]:
    if rows[0][:1] != ["step"]:
        raise ValueError(f"its first column is {rows[0][:1]}, not step")
    return [dict(zip(rows[0], map(float, row), strict=True)) for row in rows[1:] if len(row) == len(rows[0]) and all(row)]
