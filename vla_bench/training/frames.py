"""Demonstrations prepared for training: every image is processed once as in evaluation, up to the crop, and cached on disk.

Each file is prepared on its own, so that only new files cost time.  Training reads the rows that a step needs from
memory-mapped arrays, so that a data set may be larger than the memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from vla_bench.arrays import read_arrays
from vla_bench.demonstrations.layout import IMAGES, Demo
from vla_bench.demonstrations.noops import kept_actions
from vla_bench.demonstrations.sources import DemoSource, place_of, state_of, suite_of
from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.documents import check_regular, read_object, typed
from vla_bench.environment import cpu_count
from vla_bench.errors import RecordError
from vla_bench.files import discard, sweep, sync, temporary_for
from vla_bench.locks import locked
from vla_bench.model.images import jpeg, lanczos3, upright
from vla_bench.model.normalisation import dataset_actions
from vla_bench.training.account import FileAccount, account_of, refusal
from vla_bench.values import ImageOrder

VERSION = 4  # of the layout of a prepared folder
TARGETS = 3  # objects of interest that the auxiliary loss predicts at most
PREPARED = r"[0-9a-f]{16}\.[0-9a-f]{16}"  # name of a prepared folder
COLUMNS = ("proprio", "actions", "segment", "ends", "targets")
IMAGE_FILE, STEP_FILE, ACCOUNT_FILE = "pictures.npy", "steps.npz", "account.json"


class Images:
    """Several (N, cameras, S, S, 3) arrays of uint8 read as one."""

    def __init__(self, parts: Sequence[np.ndarray]):
        self._parts = parts
        self._ends = np.cumsum([len(part) for part in parts])
        self.shape = (int(self._ends[-1]), *parts[0].shape[1:])

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """The rows (B,) of the whole, in any order -> (B, cameras, S, S, 3)."""
        images = np.empty((len(rows), *self.shape[1:]), np.uint8)
        order = np.argsort(rows)  # sequential reads are cheaper on a disk
        for i, part in zip(order, np.searchsorted(self._ends, rows[order], side="right"), strict=True):
            images[i] = self._parts[part][rows[i] - self._ends[part]]  # an index below 0 counts from the part's end
        return images


@dataclass(frozen=True)
class Frames:
    """All steps of all demonstrations, one after another.

    images: (N, cameras, S, S, 3) uint8, upright, not yet cropped.
    proprio: (N, 8).  actions: (N, 7), gripper 1 open, 0 closed.
    segment: (N,) int, steps of one segment are consecutive in time.
    ends: (N,) bool, the last step of a demonstration.
    instruction: (N,) index into `instructions`, and into `suites`, LIBERO's names of them.
    targets: (N, 3, 3) m, positions of up to three objects of the task; NaN where unknown.
    files: what was used of each file, and what was left out.
    """

    images: Images
    proprio: np.ndarray
    actions: np.ndarray
    segment: np.ndarray
    ends: np.ndarray
    instruction: np.ndarray
    targets: np.ndarray
    instructions: tuple[str, ...]
    suites: tuple[str, ...]
    episodes: int
    files: tuple[FileAccount, ...]

    @cached_property
    def sha256(self) -> str:
        """Hash of everything but the images, which is enough to distinguish demonstrations."""
        digest = hashlib.sha256("\n".join(self.instructions).encode())
        for column in (self.proprio, self.actions, self.segment, self.ends, self.instruction, self.targets):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


def prepare_frames(
    files: Sequence[DemoSource],
    size: int,
    cache: Path,
    spare: Path | None = None,
    order: ImageOrder = ImageOrder.AUTO,
    retry: bool = True,
) -> Frames:
    """The usable demonstrations of `files` with images of `size` pixels, prepared in `cache` unless they are there.

    spare: folder to use instead if `cache` is not writable.  order: how the files' images are stored.
    retry: read files again of which nothing could be used before.
    Files of which nothing can be used are left out, see `Frames.files`.  Raises RecordError where none is left.
    """
    target = cache if spare is None or _writable(cache) else spare
    try:
        folders, missing = [], []
        for file in files:
            name = _folder_name(file, size, order)
            done = [folder for folder in (cache / name, target / name) if _prepared(folder, retry)]
            folders.append(done[0] if done else target / name)
            if not done:
                missing.append((file, size, order, target / name))
        if missing:
            target.mkdir(parents=True, exist_ok=True)
            with locked(target):
                sweep(target, PREPARED, age_s=0)
                with ProcessPoolExecutor(min(cpu_count(), len(missing)), mp_context=get_context("spawn")) as pool:
                    for started in [pool.submit(_prepare_file, *job) for job in missing]:
                        started.result()
        return _join(files, folders)
    except (OSError, BrokenProcessPool) as error:  # the latter: a process was killed, mostly by the out-of-memory killer
        raise RecordError(f"cannot prepare the images in {target}: {error}", f"df -h {target.parent}; free -h") from error


def _writable(folder: Path) -> bool:
    return os.access(folder if folder.exists() else folder.parent, os.W_OK)


def _folder_name(file: DemoSource, size: int, order: ImageOrder) -> str:
    """The prepared folder of a file; its name depends on path, size, time of the last change, and the order of its images."""
    names = (place_of(file), size), (VERSION, *state_of(file), order.value)
    return ".".join(hashlib.sha256(json.dumps(name).encode()).hexdigest()[:16] for name in names)


def _prepared(folder: Path, retry: bool) -> bool:
    """Whether a folder is complete; one without steps says why its file cannot be used."""
    return (folder / (STEP_FILE if retry else ACCOUNT_FILE)).exists()


def _join(files: Sequence[DemoSource], folders: Sequence[Path]) -> Frames:
    tables, tasks, images, accounts, segments = [], [], [], [], 0
    for file, folder in zip(files, folders, strict=True):
        account, steps, pictures = _read_prepared(file, folder)
        accounts.append(account)
        if account.refused:
            continue
        if (task := (account.instruction, suite_of(file))) not in tasks:
            tasks.append(task)
        steps["instruction"] = np.full(len(steps["segment"]), tasks.index(task), np.int16)
        steps["segment"] += segments
        segments = int(steps["segment"].max()) + 1
        # The file may have room for more: for demonstrations whose images turned out to be damaged.
        images.append(pictures[: len(steps["segment"])])
        tables.append(steps)
    if not tables:
        raise refusal(accounts)
    columns = {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}
    languages, suites = zip(*tasks, strict=True)
    episodes = sum(account.used for account in accounts)
    return Frames(Images(images), **columns, instructions=languages, suites=suites, episodes=episodes, files=tuple(accounts))


def _read_prepared(file: DemoSource, folder: Path) -> tuple[FileAccount, dict[str, np.ndarray], np.ndarray]:
    """Account, steps and images of a file; the last two empty where nothing of it can be used.  Raises RecordError for damage."""
    try:
        account = typed({"file": str(file)} | read_object(folder / ACCOUNT_FILE), FileAccount)
        if account.refused:
            return account, {}, np.empty(0)
        steps = read_arrays(folder / STEP_FILE, COLUMNS)
        check_regular(folder / IMAGE_FILE)
        pictures = np.load(folder / IMAGE_FILE, mmap_mode="r", allow_pickle=False)
        count = len(steps["segment"])
        if any(len(column) != count for column in steps.values()) or len(pictures) < count or pictures.dtype != np.uint8:
            raise ValueError("its files have not the same number of steps")
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise RecordError(f"the prepared images in {folder} are damaged: {error}", f"rm -r {shlex.quote(str(folder))}") from error
    return account, steps, pictures


def _prepare_file(file: DemoSource, size: int, order: ImageOrder, folder: Path) -> None:
    """Fill `folder`, which appears complete or not at all, and delete what was prepared from an earlier version of the file.

    Only one demonstration's images at a time are in memory.  Where nothing of the file can be used, the folder says why.
    """
    temporary = temporary_for(folder)
    try:
        temporary.mkdir()
        try:
            account = _fill(UsableDemos(file, order), size, temporary)
        except RecordError as error:
            account = {"refused": error.message, "fix": error.fix}
        (temporary / ACCOUNT_FILE).write_text(json.dumps(account), encoding="utf-8")
        for earlier in folder.parent.glob(f"{folder.stem}.*"):
            shutil.rmtree(earlier)
        for written in temporary.iterdir():
            sync(written)
        os.rename(temporary, folder)
    finally:
        discard(temporary)


def _fill(demos: UsableDemos, size: int, folder: Path) -> dict[str, object]:
    """Write all images and steps; returns the account of the file."""
    images = np.lib.format.open_memmap(folder / IMAGE_FILE, "w+", np.uint8, (demos.steps, len(IMAGES), size, size, 3))
    tables, segments, done = [], 0, 0
    for demo in demos.read():
        keep = np.flatnonzero(kept_actions(demo["actions"]))
        for row, step in enumerate(keep, done):
            images[row] = _images(demo, step, size)
        segment = np.unique(demo.segment[keep], return_inverse=True)[1] + segments
        tables.append(_table(demo, keep, segment))
        done, segments = done + len(keep), int(segment.max()) + 1
    images.flush()
    np.savez(folder / STEP_FILE, **{name: np.concatenate([table[name] for table in tables]) for name in tables[0]})
    return account_of(demos)


def _table(demo: Demo, keep: np.ndarray, segment: np.ndarray) -> dict[str, np.ndarray]:
    """All columns but the images, of a demonstration's kept steps."""
    return {
        "proprio": np.concatenate([demo["obs/ee_states"], demo["obs/gripper_states"]], axis=1)[keep],
        "actions": dataset_actions(demo["actions"][keep]),
        "segment": segment.astype(np.int64),
        "ends": np.arange(len(keep)) == len(keep) - 1,
        "targets": _targets(demo)[keep],
    }


def _images(demo: Demo, step: int, size: int) -> np.ndarray:
    return np.stack([lanczos3(jpeg(upright(demo[camera][step])), size) for camera in IMAGES])


def _targets(demo: Demo) -> np.ndarray:
    """Positions (T, 3, 3) of the first three objects; NaN where a demonstration has fewer."""
    targets = np.full((len(demo), TARGETS, 3), np.nan, np.float32)
    count = min(TARGETS, demo.object_pos.shape[1])
    targets[:, :count] = demo.object_pos[:, :count]
    return targets
