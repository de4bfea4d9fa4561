"""The Parquet files of a LeRobot data set, read without trust: regular files of bounded size, with the columns they must have."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vla_bench.demonstrations.lerobot import features as form
from vla_bench.demonstrations.lerobot.extra import parquet
from vla_bench.demonstrations.lerobot.info import Info
from vla_bench.documents import check_regular
from vla_bench.errors import RecordError

MOST_BYTES = 4 << 30  # of the columns that are read of a file, unpacked
LONGEST = 100_000  # frames of an episode; LIBERO's longest demonstration has 505
AGAIN = "download it again"


@dataclass(frozen=True)
class EpisodeRow:
    """Where an episode is.

    data: folder and number of the file of its rows.  films: of each camera folder, number and time of its first frame, s.
    demonstration, suite: as vla-bench's own data sets say; None in others.
    """

    index: int
    tasks: tuple[str, ...]
    length: int
    data: tuple[int, int]
    films: tuple[tuple[int, int, float], ...]
    demonstration: str | None
    suite: str | None


def read_episodes(info: Info) -> list[EpisodeRow]:
    """By index.  Raises RecordError."""
    paths = sorted((info.root / "meta" / "episodes").glob("*/*.parquet"))
    if not paths:
        raise RecordError(f"{info.root} has no {form.EPISODES_PATH.format(**form.place(0))}", AGAIN)
    films = [f"videos/{camera.name}/" for camera in info.cameras if camera.film]
    needed = ["episode_index", "tasks", "length", "data/chunk_index", "data/file_index"]
    needed += [f"{film}{key}" for film in films for key in ("chunk_index", "file_index", "from_timestamp")]
    found = []
    for path in paths:
        for row in read_rows(path, needed, optional=(form.DEMONSTRATION, form.SUITE)).to_pylist():
            try:
                found.append(_episode(row, films))
            except (TypeError, ValueError) as error:
                raise RecordError(f"{path}: a row is no episode: {error}", AGAIN) from error
    return sorted(found, key=lambda each: each.index)


def _episode(row: dict[str, Any], films: Sequence[str]) -> EpisodeRow:
    """Raises TypeError, ValueError."""
    tasks, length = row["tasks"], int(row["length"])
    if not (isinstance(tasks, list) and tasks and all(isinstance(task, str) for task in tasks)):
        raise ValueError(f"its tasks are {tasks!r:.60}")
    if not 0 < length <= LONGEST:
        raise ValueError(f"its length is {length}")
    places = tuple((int(row[f"{f}chunk_index"]), int(row[f"{f}file_index"]), float(row[f"{f}from_timestamp"])) for f in films)
    if any(not 0 <= began < 1e6 for *_, began in places):
        raise ValueError(f"its films begin at {[began for *_, began in places]} s")
    said = [row.get(key) if isinstance(row.get(key), str) else None for key in (form.DEMONSTRATION, form.SUITE)]
    data = int(row["data/chunk_index"]), int(row["data/file_index"])
    return EpisodeRow(int(row["episode_index"]), tuple(tasks), length, data, places, *said)


def read_rows(path: Path, needed: Sequence[str], optional: Collection[str] = (), episode: int | None = None):
    """A table of these columns, of one episode or of all.  Raises RecordError, with the column that is missing."""
    pq = parquet()
    try:
        check_regular(path)
        with pq.ParquetFile(path) as file:
            names = set(file.schema_arrow.names)
            if missing := [name for name in needed if name not in names]:
                raise RecordError(f"{path} has no column {missing[0]}")
            columns = [*needed, *(name for name in optional if name in names)]
            _refuse_large(file.metadata, columns, path)
        chosen = None if episode is None else [("episode_index", "=", episode)]
        # Not the threads of pyarrow: several processes of ours read at once.
        return pq.read_table(path, columns=columns, filters=chosen, use_threads=False, partitioning=None)
    except RecordError:
        raise
    # What pyarrow raises for damage depends on where it is; its own errors are among these.
    except (OSError, ValueError, TypeError, KeyError, NotImplementedError, RuntimeError, MemoryError) as error:
        raise RecordError(f"{path} cannot be read: {str(error).splitlines()[0] if str(error) else error!r}", AGAIN) from error


def numbers(table, name: str, width: int, path: Path) -> np.ndarray:
    """A column of vectors as (T, width) float64.  Raises RecordError."""
    try:
        column = table.column(name).combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False) if width > 1 else column.to_numpy(zero_copy_only=False)
        return np.asarray(flat, np.float64).reshape(len(table), width)
    except (ValueError, TypeError, AttributeError) as error:
        raise RecordError(f"{path}: {name} does not hold {width} numbers a row: {error}") from error


def _refuse_large(metadata, columns: Collection[str], path: Path) -> None:
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    parts = [group.column(number) for group in groups for number in range(group.num_columns)]
    size = sum(part.total_uncompressed_size for part in parts if _below(part, columns))
    if size > MOST_BYTES:
        raise RecordError(f"{path}: {size / 1e9:.1f} GB to read, and at most {MOST_BYTES / 1e9:.1f} GB are")


def _below(part, columns: Collection[str]) -> bool:
    """Whether a part is of one of the columns: their names have dots, as those of the fields below a column."""
    return any(part.path_in_schema == name or part.path_in_schema.startswith(f"{name}.") for name in columns)
