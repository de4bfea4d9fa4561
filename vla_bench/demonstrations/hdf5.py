"""Demonstrations on disk, in the layout of LIBERO's `TASK_demo.hdf5`; reads LIBERO's own files and vla-bench's.

    data                 attributes: env_name, problem_info, bddl_file_name, ..., num_demos, total
    data/demo_0          attributes: num_samples, model_file, init_state
    data/demo_0/...      the arrays of `LAYOUT`, one row a frame: the state before the action of that row

vla-bench adds two arrays under `obs`, which other readers ignore: see `Demo`.  A file of one demonstration has the same layout
as one of fifty, so merging files means copying groups.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vla_bench.errors import RecordError
from vla_bench.model.normalisation import LIBERO_NAMES
from vla_bench.suites import Task

SUFFIX = "_demo.hdf5"
AGAIN = "download it again; if vla-bench made it, delete it and repeat its `vla-bench demos` command"

# Array -> shape of a row.  None: any length; images are (size, size, 3).
IMAGES = ("obs/agentview_rgb", "obs/eye_in_hand_rgb")
LAYOUT = {
    "actions": (7,),
    "states": (None,),
    "robot_states": (9,),
    "rewards": (),
    "dones": (),
    "obs/ee_states": (6,),
    "obs/ee_pos": (3,),
    "obs/ee_ori": (3,),
    "obs/gripper_states": (2,),
    "obs/joint_states": (7,),
    **dict.fromkeys(IMAGES, (None, None, 3)),
}
SEGMENT, OBJECT_POS = "obs/segment", "obs/object_pos"
OBJECT_NAMES = "names"  # attribute of OBJECT_POS

# Images of flat colours: the slowest setting saves only 5 to 15 % more than the fastest, in three times the time.
# One frame a chunk: random access costs an eighth of that with eight frames, and no more space.
COMPRESSION = {"compression": "gzip", "compression_opts": 1}


@dataclass(frozen=True)
class Demo:
    """One demonstration of T frames; row t is the state before action t.

    arrays: the arrays of `LAYOUT` by name; images, if they were read, upside down as rendered.
    instruction: lower case, from the file's name.
    segment: (T,) int.  Neighbouring frames of one segment are consecutive in time; a new segment begins after a push, which
        must not be imitated.  All zeros in LIBERO's own files.
    object_pos: (T, n, 3) m, world frame, positions of `object_names`; n is 0 where the file has none.
    attributes: of the demonstration's group.
    """

    name: str
    instruction: str
    arrays: dict[str, np.ndarray]
    segment: np.ndarray
    object_pos: np.ndarray
    object_names: tuple[str, ...] = ()
    attributes: dict[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.arrays["actions"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def chunk_starts(self, length: int) -> np.ndarray:
        """Frames at which a chunk of `length` actions begins: all of one segment, none past the end."""
        return chunk_starts(self.segment, length)


def chunk_starts(segment: np.ndarray, length: int) -> np.ndarray:
    """Steps followed by `length - 1` more of the same segment; the reference does not pad the end of an episode."""
    starts = np.arange(max(0, len(segment) - length + 1))
    return starts[segment[starts] == segment[starts + length - 1]]


def write_demos(path: Path, attributes: dict[str, object], demos: Iterable[Demo]) -> None:
    """A new file of `demos`, named demo_0, demo_1, ...; it appears complete or not at all.  Raises RecordError."""
    with _new_file(path) as file:
        data = file.create_group("data")
        data.attrs.update(attributes)
        for number, demo in enumerate(demos):
            _write(data.create_group(f"demo_{number}"), demo)
        _count(data)


def merge(path: Path, sources: Iterable[Path]) -> None:
    """A new file of all demonstrations of `sources`, numbered in their order, with the attributes of the first.

    `path` may be among the sources.  Raises RecordError.
    """
    with _new_file(path) as file:
        data = file.create_group("data")
        for source in sources:
            with _open(source) as old:
                if not data.attrs:
                    data.attrs.update(old["data"].attrs)
                for name in demo_names(old["data"]):
                    old.copy(old["data"][name], data, name=f"demo_{len(data)}")
        _count(data)


def read_demos(path: Path, images: bool = True) -> Iterator[Demo]:
    """The demonstrations of a file, one at a time: LIBERO's own, one regenerated without no-ops, or vla-bench's.

    Raises RecordError for a file that cannot be read or that does not have the layout `LAYOUT`.
    """
    stem = path.name.removesuffix(SUFFIX) if path.name.endswith(SUFFIX) else path.stem
    instruction = Task(0, stem).language.lower()
    with _open(path) as file:
        for name in demo_names(file["data"]):
            try:
                yield _read(file["data"][name], path, instruction, images)
            except (OSError, RuntimeError) as error:  # a chunk that cannot be decompressed
                raise RecordError(f"{path}: {name} is damaged: {error}", AGAIN) from error


def attempts_in(path: Path) -> set[int]:
    """The attempts whose demonstrations a file of vla-bench contains.  Raises RecordError."""
    with _open(path) as file:
        return {int(group.attrs["attempt"]) for group in file["data"].values() if "attempt" in group.attrs}


def suite_name(path: Path) -> str:
    """LIBERO's name of the suite of a file: what its folder's name begins with, as in libero_10_no_noops or libero_goal_256.

    A link's own name counts before its target's.  Any other folder name is returned without `_no_noops`.
    """
    folder = Path(os.path.abspath(path)).parent
    for name in (folder.name, folder.resolve().name):
        for suite in LIBERO_NAMES:
            if re.match(rf"{suite}(?![a-zA-Z0-9])", name):
                return suite
    return folder.name.removesuffix("_no_noops")


def demo_names(data) -> list[str]:
    """demo_0, demo_1, ..., demo_10: by number; numbers may be missing."""
    return sorted(data, key=lambda name: (len(name), name))


def _read(group, path: Path, instruction: str, images: bool) -> Demo:
    where = f"{path}: {group.name.rsplit('/', 1)[-1]}"
    if missing := [name for name in LAYOUT if name not in group]:
        raise RecordError(f"{where} has no {missing[0]}: not a file of LIBERO demonstrations")
    arrays, frames = {}, max(1, *group["actions"].shape[:1])
    for name, row in LAYOUT.items():
        shape, wanted = group[name].shape, (frames, *row)
        if len(shape) != len(wanted) or any(want not in (None, got) for want, got in zip(wanted, shape, strict=True)):
            raise RecordError(f"{where}: {name} is {shape}, not {wanted}")
        if name in IMAGES and (group[name].dtype != np.uint8 or shape[1] != shape[2]):
            raise RecordError(f"{where}: {name} is {shape} {group[name].dtype}, not square images of uint8")
        if images or name not in IMAGES:
            arrays[name] = group[name][:]
    if not np.isfinite(arrays["actions"]).all():
        raise RecordError(f"{where}: actions are not finite numbers")
    return Demo(
        name=group.name.rsplit("/", 1)[-1],
        instruction=instruction,
        arrays=arrays,
        attributes=dict(group.attrs),
        **_additions(group, where, frames),
    )


def _additions(group, where: str, frames: int) -> dict[str, object]:
    """The arrays that only vla-bench's files have, or their defaults for others."""
    segment = group[SEGMENT][:] if SEGMENT in group else np.zeros(frames, np.int32)
    if OBJECT_POS not in group:
        return {"segment": segment, "object_pos": np.zeros((frames, 0, 3))}
    positions, names = group[OBJECT_POS][:], tuple(group[OBJECT_POS].attrs.get(OBJECT_NAMES, ()))
    if segment.shape != (frames,) or positions.shape != (frames, len(names), 3):
        raise RecordError(f"{where}: {SEGMENT} {segment.shape} or {OBJECT_POS} {positions.shape} do not fit {frames} frames")
    return {"segment": segment, "object_pos": positions, "object_names": names}


def _write(group, demo: Demo) -> None:
    for name in LAYOUT:
        array = demo[name]
        if name in IMAGES:
            group.create_dataset(name, data=array, chunks=(1, *array.shape[1:]), **COMPRESSION)
        else:
            group.create_dataset(name, data=array)
    group.create_dataset(SEGMENT, data=demo.segment.astype(np.int32))
    group.create_dataset(OBJECT_POS, data=demo.object_pos).attrs[OBJECT_NAMES] = list(demo.object_names)
    group.attrs.update(demo.attributes)
    group.attrs["num_samples"] = len(demo)


def _count(data) -> None:
    data.attrs["num_demos"] = len(data)
    data.attrs["total"] = sum(int(group.attrs["num_samples"]) for group in data.values())


@contextlib.contextmanager
def _new_file(path: Path):
    """An HDF5 file under a temporary name until it is complete and on disk: a file whose writer was killed cannot be opened."""
    import h5py

    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(temporary, "w") as file:
            yield file
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise RecordError(f"cannot write {path}: {error}", f"df -h {path.parent}") from error
    finally:
        if temporary.exists():
            temporary.unlink()


def _open(path: Path):
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise RecordError(f"{path} is not a readable HDF5 file: {error}", AGAIN) from error
    if "data" not in file:
        file.close()
        raise RecordError(f"{path} holds no demonstrations: it has no group `data`")
    return file
