"""Demonstrations prepared for training: every picture once through the road of evaluation, up to the crop, and kept on disk.

Training reads the rows that a step needs from memory-mapped arrays, so that a data set may be larger than the memory.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from vla_bench.environment import cpu_count
from vla_bench.errors import RecordError
from vla_bench.model.images import jpeg, lanczos3, upright
from vla_bench.model.normalisation import dataset_actions
from vla_bench.training.demo_file import IMAGES, SUFFIX, Demo, read_demos
from vla_bench.training.noops import kept_actions

VERSION = 1  # of what a prepared folder holds
CAMERAS = len(IMAGES)
TARGETS = 3  # objects of interest that the auxiliary loss may look for


@dataclass(frozen=True)
class Frames:
    """All steps of all demonstrations, one after another.

    images: (N, cameras, S, S, 3) uint8, upright, not yet cropped.
    proprio: (N, 8).  actions: (N, 7), gripper 1 open, 0 closed.
    segment: (N,) steps of one number follow each other in time.
    instruction: (N,) index into `instructions`.
    targets: (N, 3, 3) where the task's objects are, in metres; NaN where not known.
    """

    images: np.ndarray
    proprio: np.ndarray
    actions: np.ndarray
    segment: np.ndarray
    instruction: np.ndarray
    targets: np.ndarray
    instructions: tuple[str, ...]
    episodes: int


def demo_files(folder: Path) -> list[Path]:
    """Every demonstration file below a folder.  Raises RecordError where there is none."""
    found = sorted(folder.rglob(f"*{SUFFIX}"))
    if not found:
        raise RecordError(f"{folder} holds no demonstrations (*{SUFFIX})", f"vla-bench demos --out {folder}")
    return found


def prepare_frames(files: Sequence[Path], size: int, cache: Path) -> Frames:
    """Prepare the files' demonstrations at `size` pixels below `cache`, or find them there.  Raises RecordError."""
    stamp = [VERSION, size, *((str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files)]
    folder = cache / hashlib.sha256(json.dumps(stamp).encode()).hexdigest()[:16]
    if not (folder / "frames.json").exists():
        _prepare(files, size, folder)
    facts = json.loads((folder / "frames.json").read_text(encoding="utf-8"))
    images = np.load(folder / "images.npy", mmap_mode="r")
    with np.load(folder / "steps.npz", allow_pickle=False) as steps:
        return Frames(images, **steps, instructions=tuple(facts["instructions"]), episodes=facts["episodes"])


def _prepare(files: Sequence[Path], size: int, folder: Path) -> None:
    """One part a file, made in parallel, then joined; the folder appears whole or not at all.  Raises RecordError."""
    parts = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        parts.mkdir(parents=True)
        with ProcessPoolExecutor(cpu_count(), mp_context=get_context("spawn")) as pool:
            jobs = [pool.submit(_prepare_file, file, size, parts / f"{i}") for i, file in enumerate(files)]
            lengths = [job.result() for job in jobs]
        facts = _join(parts, lengths, size)
        (parts / "frames.json").write_text(json.dumps(facts, indent=2), encoding="utf-8")
        os.rename(parts, folder)
    except OSError as error:
        raise RecordError(f"cannot prepare the pictures in {folder}: {error}", f"df -h {folder.parent}") from error
    finally:
        shutil.rmtree(parts, ignore_errors=True)


def _join(parts: Path, lengths: Sequence[int], size: int) -> dict[str, object]:
    """All parts as one `images.npy` and one `steps.npz`; returns what the two do not hold."""
    images = np.lib.format.open_memmap(parts / "images.npy", "w+", np.uint8, (sum(lengths), CAMERAS, size, size, 3))
    tables, instructions, at, episodes, segments = [], [], 0, 0, 0
    for i, length in enumerate(lengths):
        images[at : at + length] = np.load(parts / f"{i}.npy", mmap_mode="r")
        with np.load(parts / f"{i}.npz", allow_pickle=False) as table:
            steps = dict(table)
        for suffix in ("npy", "npz"):
            (parts / f"{i}.{suffix}").unlink()
        language, count = str(steps.pop("language")), int(steps.pop("count"))
        if language not in instructions:
            instructions.append(language)
        steps["instruction"] = np.full(length, instructions.index(language), np.int16)
        steps["segment"] += segments
        segments = int(steps["segment"].max()) + 1
        tables.append(steps)
        at, episodes = at + length, episodes + count
    images.flush()
    np.savez(parts / "steps.npz", **{name: np.concatenate([t[name] for t in tables]) for name in tables[0]})
    return {"instructions": instructions, "episodes": episodes}


def _prepare_file(file: Path, size: int, stem: Path) -> int:
    """Write STEM.npy and STEM.npz; returns the number of steps."""
    images, tables, segments, count = [], [], 0, 0
    language = ""
    for demo in read_demos(file):
        keep = np.flatnonzero(kept_actions(demo["actions"]))
        images += [_pictures(demo, step, size) for step in keep]
        segment = np.unique(demo.segment[keep], return_inverse=True)[1] + segments
        tables.append(
            {
                "proprio": np.concatenate([demo["obs/ee_states"], demo["obs/gripper_states"]], axis=1)[keep],
                "actions": dataset_actions(demo["actions"][keep]),
                "segment": segment.astype(np.int64),
                "targets": _targets(demo)[keep],
            }
        )
        language, count, segments = demo.instruction, count + 1, int(segment.max()) + 1
    if not images:
        raise RecordError(f"{file} holds no demonstration with an action in it")
    np.save(stem.with_suffix(".npy"), np.stack(images))
    joined = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    np.savez(stem.with_suffix(".npz"), language=language, count=count, **joined)
    return len(images)


def _pictures(demo: Demo, step: int, size: int) -> np.ndarray:
    return np.stack([lanczos3(jpeg(upright(demo[view][step])), size) for view in IMAGES])


def _targets(demo: Demo) -> np.ndarray:
    """(T, 3, 3); a demonstration may name fewer objects, and more than three are not asked for."""
    found = np.full((len(demo), TARGETS, 3), np.nan, np.float32)
    count = min(TARGETS, demo.object_pos.shape[1])
    found[:, :count] = demo.object_pos[:, :count]
    return found
