"""Demonstrations as a LeRobotDataset v3.0: an episode a demonstration, or a segment of one that was pushed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import numpy as np

from vla_bench import __version__
from vla_bench.demonstrations.layout import Demo
from vla_bench.demonstrations.lerobot import features as form
from vla_bench.demonstrations.lerobot.extra import parquet
from vla_bench.demonstrations.lerobot.film import FilmWriter
from vla_bench.demonstrations.lerobot.statistics import Levels, of_rows
from vla_bench.demonstrations.lerobot.written import Written
from vla_bench.demonstrations.noops import kept_actions
from vla_bench.demonstrations.sources import DemoSource, suite_of
from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.errors import RecordError, UsageError
from vla_bench.files import discard, temporary_for
from vla_bench.records import make_room

# As pandas writes a table whose index is the instruction: from there lerobot takes it.
_COLUMNS = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
TASKS_INDEX = {
    "index_columns": ["task"],
    "column_indexes": [],
    "columns": [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": stored, "metadata": None}
        for name, (kind, stored) in _COLUMNS.items()
    ],
    "pandas_version": "2.0.0",
}


def check_new(out: Path) -> None:
    """Raises UsageError where `out` is there already, or pyarrow is missing."""
    parquet()
    if out.exists():
        raise UsageError(
            f"{out} is there already, and a LeRobot data set is written whole", "choose another folder with --lerobot"
        )


def write_lerobot(files: Sequence[DemoSource], out: Path) -> Written:
    """A new data set of the usable demonstrations of these HDF5 files; it appears whole or not at all.

    Raises UsageError as `check_new`, and for images of several sizes; RecordError where nothing can be used.
    """
    check_new(out)
    make_room(out)
    temporary = temporary_for(out)
    try:
        temporary.mkdir()
        written = _Dataset(temporary).write(files)
        os.rename(temporary, out)
    except OSError as error:
        raise RecordError(f"cannot write {out}: {error.strerror or error}", f"df -h {out.parent}") from error
    finally:
        discard(temporary)
    written.folder = out
    return written


class _Dataset:
    """A data set that is being written, file by file: each HDF5 file becomes one file of rows and one film a camera."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._written = Written(folder)
        self._size: int | None = None
        self._tasks: dict[str, int] = {}
        self._episodes: list[dict[str, object]] = []
        self._rows: list[dict[str, np.ndarray]] = []  # of every episode, for the statistics of all
        self._levels = {name: Levels() for name in form.CAMERAS.values()}

    def write(self, files: Sequence[DemoSource]) -> Written:
        number = 0
        for file in files:
            try:
                demos = UsableDemos(file)
            except RecordError as error:
                self._written.left_out[str(file)] = error.message
                continue
            number += self._write_file(demos, suite_of(file), number)
            self._written.left_out |= {f"{file}: {name}": why for name, why in demos.left_out.items()}
            for note, count in demos.converted.items():
                self._written.converted[note] = self._written.converted.get(note, 0) + count
        if not self._episodes:
            first = next(iter(self._written.left_out.values()), "there is none")
            raise RecordError(f"no demonstration can be used: {first}")
        self._write_meta()
        return self._written

    def _write_file(self, demos: UsableDemos, suite: str, number: int) -> bool:
        """Whether anything of it was written."""
        rows: list[dict[str, np.ndarray]] = []
        with ExitStack() as stack:
            films: dict[str, FilmWriter] = {}
            for demo in self._usable(demos):
                self._written.demonstrations += 1
                for name, film in () if films else self._films(demo, number):
                    films[name] = stack.enter_context(closing(film))
                for segment, steps in _segments(demo):
                    about = {form.DEMONSTRATION: f"{suite}/{demos.path.name}:{demo.name}", form.SEGMENT: segment}
                    rows.append(self._write_episode(demo, steps, films, about | {form.SUITE: suite}, number))
        if rows:
            self._write_rows(rows, number)
        return bool(rows)

    def _usable(self, demos: UsableDemos) -> Iterator[Demo]:
        """Those of a file that turns out to have no usable images are none."""
        try:
            yield from demos.read()
        except RecordError as error:
            self._written.left_out[str(demos.path)] = error.message

    def _films(self, demo: Demo, number: int) -> Iterator[tuple[str, FilmWriter]]:
        for array, name in form.CAMERAS.items():
            size = demo[array].shape[1]
            self._size = self._size or size
            if size != self._size:
                what = f"{demo.name} has images of {size} pixels, others {self._size}: they do not go into one data set"
                raise UsageError(what, "vla-bench demos --from FOLDER --lerobot OUT for each size by itself")
            yield name, FilmWriter(self._path(form.VIDEO_PATH, number, video_key=name), size, form.FPS)

    def _write_episode(
        self, demo: Demo, steps: np.ndarray, films: dict[str, FilmWriter], about: dict[str, object], number: int
    ) -> dict[str, np.ndarray]:
        """Write the frames of an episode, and enter its row; returns its rows."""
        index, length, first = len(self._episodes), len(steps), self._written.frames
        task = self._tasks.setdefault(demo.instruction, len(self._tasks))
        state = np.hstack([demo["obs/ee_states"], demo["obs/gripper_states"]])[steps]
        columns = {form.STATE: state.astype(np.float32), form.ACTION: demo["actions"][steps].astype(np.float32)}
        frame = np.arange(length)
        numbers = (frame / form.FPS, frame, np.full(length, index), first + frame, np.full(length, task))
        columns |= {name: value.astype(kind) for (name, kind), value in zip(form.INDICES.items(), numbers, strict=True)}
        row: dict[str, object] = {"episode_index": index, "tasks": [demo.instruction], "length": length}
        row |= {"dataset_from_index": first, "dataset_to_index": first + length}
        row |= {f"data/{key}": value for key, value in form.place(number).items()}
        row |= {f"meta/episodes/{key}": value for key, value in form.place(0).items()}
        statistics = {name: of_rows(values) for name, values in columns.items()}
        for array, name in form.CAMERAS.items():
            images, levels, began = demo[array][steps, ::-1, ::-1], Levels(), films[name].frames
            films[name].add(images)
            levels.add(images)
            self._levels[name] += levels
            statistics[name] = levels.table()
            row |= {f"videos/{name}/{key}": value for key, value in form.place(number).items()}
            row |= {
                f"videos/{name}/from_timestamp": began / form.FPS,
                f"videos/{name}/to_timestamp": films[name].frames / form.FPS,
            }
        row |= {f"stats/{name}/{key}": value for name, table in statistics.items() for key, value in table.items()}
        self._episodes.append(row | about)
        self._rows.append(columns)
        self._written.frames += length
        self._written.episodes += 1
        return columns

    def _write_rows(self, rows: Sequence[dict[str, np.ndarray]], number: int) -> None:
        import pyarrow as pa

        arrays = {name: np.concatenate([each[name] for each in rows]) for name in rows[0]}
        columns = {
            name: pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
            if values.ndim > 1
            else pa.array(values)
            for name, values in arrays.items()
        }
        self._write_table(pa.table(columns), self._path(form.DATA_PATH, number))

    def _write_meta(self) -> None:
        import pyarrow as pa

        written, tasks = self._written, list(self._tasks)
        self._write_table(pa.Table.from_pylist(self._episodes), self._path(form.EPISODES_PATH, 0))
        table = pa.table({"task_index": pa.array(range(len(tasks)), pa.int64()), "task": tasks})
        self._write_table(table.replace_schema_metadata({"pandas": json.dumps(TASKS_INDEX)}), self._folder / form.TASKS)
        statistics = {name: of_rows(np.concatenate([rows[name] for rows in self._rows])) for name in self._rows[0]}
        statistics |= {name: levels.table() for name, levels in self._levels.items()}
        self._write_json(form.STATS, statistics)
        info: dict[str, object] = {"codebase_version": form.VERSION, "robot_type": "panda", "fps": form.FPS}
        info |= {"total_episodes": written.episodes, "total_frames": written.frames, "total_tasks": len(tasks)}
        info |= {"chunks_size": form.CHUNK, "data_files_size_in_mb": 100, "video_files_size_in_mb": 200}
        info |= {"splits": {"train": f"0:{written.episodes}"}, "data_path": form.DATA_PATH, "video_path": form.VIDEO_PATH}
        self._write_json(form.INFO, info | {"features": form.features(self._size or 0)})
        about = {"vla_bench": __version__, **form.CONVENTIONS, "demonstrations": written.demonstrations}
        self._write_json(form.ABOUT, about | {"left_out": len(written.left_out), "converted": written.converted})

    def _path(self, pattern: str, number: int, **more: str) -> Path:
        path = self._folder / pattern.format(**form.place(number), **more)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _write_table(self, table, path: Path) -> None:
        parquet().write_table(table, path)

    def _write_json(self, name: str, content: dict) -> None:
        (self._folder / name).write_text(json.dumps(content, indent=4, allow_nan=False) + "\n", encoding="utf-8")


def _segments(demo: Demo) -> Iterator[tuple[int, np.ndarray]]:
    """The steps of each segment that are no no-ops; segments without any are left out."""
    keep = np.flatnonzero(kept_actions(demo["actions"]))
    for number, segment in enumerate(np.unique(demo.segment[keep])):
        yield number, keep[demo.segment[keep] == segment]
