"""The demonstrations of one task in a LeRobot data set, as those of one HDF5 file are read."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from vla_bench.demonstrations.hdf5 import LARGEST, suite_name
from vla_bench.demonstrations.instruction import LONGEST, as_evaluated
from vla_bench.demonstrations.layout import IMAGES, Demo
from vla_bench.demonstrations.lerobot import features as form
from vla_bench.demonstrations.lerobot.film import read_film
from vla_bench.demonstrations.lerobot.info import Camera, read_info
from vla_bench.demonstrations.lerobot.rows import EpisodeRow, numbers, read_episodes, read_rows
from vla_bench.errors import RecordError
from vla_bench.suites import load_suites
from vla_bench.values import ImageOrder


@dataclass(frozen=True)
class LeRobotTask:
    """One task of a data set: what an HDF5 file is elsewhere.

    instruction: as the data set words it.  suite: LIBERO's name of the task's suite.
    """

    root: Path
    instruction: str
    suite: str

    def __str__(self) -> str:
        return f"{self.root}: {self.instruction}"


def is_lerobot(folder: Path) -> bool:
    """Whether a folder is a LeRobot data set, of whatever version."""
    return (folder / form.INFO).is_file()


def tasks_of(root: Path) -> list[LeRobotTask]:
    """The tasks of a data set, in the order of their first episodes.

    The suite is what the data set says, if it is vla-bench's; else that which has the instruction; else what the folder's name
    tells.  Raises RecordError.
    """
    suites = {task.language.lower(): suite.libero_name for suite in load_suites() for task in suite.tasks}
    found: dict[str, LeRobotTask] = {}
    for episode in read_episodes(read_info(root)):
        said = episode.tasks[0]
        suite = episode.suite or suites.get(_worded(said)) or suite_name(root / form.INFO.partition("/")[2])
        found.setdefault(said, LeRobotTask(root, said, suite))
    if not found:
        raise RecordError(f"{root} holds no episode")
    return list(found.values())


class LeRobotFile:
    """The demonstrations of a task, open for reading, as `vla_bench.demonstrations.hdf5.DemoFile`.  Raises RecordError.

    certain_order: how the images are stored, as vla-bench wrote it; None for data sets of others, which do not say it.
    names: of its demonstrations: episode_12, after the first of a demonstration's episodes.
    """

    about_instruction = None
    fallback_order = None  # nothing is assumed where neither the data set nor its images tell

    def __init__(self, task: LeRobotTask):
        self.path = task
        self._info = read_info(task.root)
        self.certain_order: ImageOrder | None = self._info.order
        self.instruction = _worded(task.instruction)
        self._episodes: dict[str, list[EpisodeRow]] = {}
        by_demonstration: dict[str, str] = {}
        for episode in read_episodes(self._info):
            if episode.tasks[0] == task.instruction:
                own = f"episode_{episode.index}"
                name = by_demonstration.setdefault(episode.demonstration or own, own)
                self._episodes.setdefault(name, []).append(episode)
        self.names = list(self._episodes)

    def __enter__(self) -> LeRobotFile:
        return self

    def __exit__(self, *_) -> None: ...

    def where(self, name: str) -> str:
        return f"{self.path}: {name}"

    def read(self, name: str, images: bool = True) -> Demo:
        """One demonstration, with or without its images.  Its arrays are those that a data set has.  Raises RecordError."""
        episodes = self._episodes[name]
        if several := [each for each in episodes if len(each.tasks) > 1]:
            raise RecordError(f"{self.where(name)} has {len(several[0].tasks)} instructions")
        parts = [self._numbers(each) for each in episodes]
        state, actions = (self._checked(np.concatenate(column), name) for column in zip(*parts, strict=True))
        arrays = {"actions": actions, "obs/ee_states": state[:, :6], "obs/ee_pos": state[:, :3]}
        arrays |= {"obs/ee_ori": state[:, 3:6], "obs/gripper_states": state[:, 6:]}
        if images:
            for array, camera in zip(IMAGES, self._info.cameras, strict=True):
                arrays[array] = np.concatenate([self._images(each, camera) for each in episodes])
        segment = np.repeat(np.arange(len(episodes)), [each.length for each in episodes])
        return Demo(name, self.instruction, arrays, segment, np.zeros((len(actions), 0, 3)))

    def _numbers(self, episode: EpisodeRow) -> tuple[np.ndarray, np.ndarray]:
        """State (T, 8) and actions (T, 7) of an episode."""
        info, path = self._info, self._info.data_file(*episode.data)
        table = read_rows(path, [info.state, info.action, "episode_index", "frame_index"], episode=episode.index)
        if len(table) != episode.length:
            raise RecordError(f"{path} has {len(table)} rows of episode {episode.index}, which has {episode.length} frames")
        if not np.array_equal(numbers(table, "frame_index", 1, path).ravel(), np.arange(episode.length)):
            raise RecordError(f"{path}: the rows of episode {episode.index} are not in the order of time")
        return numbers(table, info.state, 8, path), numbers(table, info.action, 7, path)

    def _checked(self, values: np.ndarray, name: str) -> np.ndarray:
        rows = np.flatnonzero(~(np.abs(values) <= LARGEST).all(axis=1))
        if len(rows):
            raise RecordError(f"{self.where(name)}, row {rows[0]}: {values[rows[0]]} is not finite, or garbage")
        return values

    def _images(self, episode: EpisodeRow, camera: Camera) -> np.ndarray:
        """(T, S, S, 3) uint8, as they are stored."""
        if not camera.film:
            return self._pictures(episode, camera)
        films = [each for each in self._info.cameras if each.film]
        chunk, number, began = episode.films[films.index(camera)]
        path, size, fps = self._info.film_file(camera, chunk, number), camera.size, self._info.fps
        frames = list(islice(read_film(path, (size, size), fps, start=round(began * fps)), episode.length))
        if len(frames) < episode.length:
            raise RecordError(f"{path} ends after {len(frames)} of {episode.length} frames of episode {episode.index}")
        return np.stack(frames)

    def _pictures(self, episode: EpisodeRow, camera: Camera) -> np.ndarray:
        """Of PNG or JPEG in the rows."""
        from PIL import Image

        path = self._info.data_file(*episode.data)
        table = read_rows(path, [camera.name, "episode_index"], episode=episode.index)
        images = np.empty((episode.length, camera.size, camera.size, 3), np.uint8)
        for row, picture in enumerate(islice(table.column(camera.name).to_pylist(), episode.length)):
            where = f"{path}: {camera.name}, row {row} of episode {episode.index}"
            try:
                with Image.open(io.BytesIO(picture["bytes"]), formats=("PNG", "JPEG")) as image:
                    if image.size != (camera.size, camera.size):
                        raise RecordError(
                            f"{where} has {image.size[1]} x {image.size[0]} pixels, not {camera.size} x {camera.size}"
                        )
                    images[row] = np.asarray(image.convert("RGB"))
            except (OSError, ValueError, TypeError, KeyError, SyntaxError) as error:
                raise RecordError(f"{where} is no picture: {error}") from error
        return images


def _worded(instruction: str) -> str:
    """As evaluation words it, lower case.  Raises RecordError for what is no instruction."""
    said = " ".join(instruction.split()).lower()
    if not said or len(said) > LONGEST or not said.isprintable():
        raise RecordError(f"a task is {instruction!r:.60}, which is no instruction")
    return as_evaluated(said)
