"""Files of demonstrations: LIBERO's own, those regenerated without no-ops, vla-bench's, and what others made of them.

They are read as they are stored, without trust; `vla_bench.demonstrations.usable` brings them to LIBERO's conventions.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from vla_bench.demonstrations import opening
from vla_bench.demonstrations.instruction import instruction_of
from vla_bench.demonstrations.layout import (
    IMAGES,
    LAYOUT,
    OBJECT_NAMES,
    OBJECT_POS,
    SEGMENT,
    SUFFIX,
    Demo,
    demo_names,
)
from vla_bench.demonstrations.orientation import ATTRIBUTE, declared
from vla_bench.errors import RecordError
from vla_bench.model.dataset_keys import LIBERO_NAMES

LARGEST = 1e6  # beyond that a number is garbage: positions are below 10 m, velocities below 1000 a second, and time is in s
OTHER_LAYOUT = "not a file of LIBERO demonstrations"

# Images of flat colours: the slowest setting saves only 5 to 15 % more than the fastest, in three times the time.
# One frame a chunk: random access costs an eighth of that with eight frames, and no more space.
COMPRESSION = {"compression": "gzip", "compression_opts": 1}


class DemoFile:
    """A file of demonstrations, open for reading.  Raises RecordError.

    attributes: of its group `data`.
    names: of its demonstrations, by number.
    instruction: lower case.  about_instruction: what there is to say about it, or None.
    fallback_order: how its images are stored where they do not tell themselves.
    """

    certain_order = None  # the attribute stays in files whose images others turned

    def __init__(self, path: Path):
        self.path = path
        self._file, self._data = opening.open_file(path)
        try:
            self.attributes = opening.attributes(self._data, f"{path}: data")
            self.names = demo_names(opening.names(self._data, f"{path}: data"))
        except RecordError:
            self._file.close()
            raise
        self.fallback_order = declared(self.attributes.get(ATTRIBUTE))
        stem = path.name.removesuffix(SUFFIX) if path.name.endswith(SUFFIX) else path.stem
        self.instruction, self.about_instruction = instruction_of(stem, self.attributes)

    def __enter__(self) -> DemoFile:
        return self

    def __exit__(self, *_) -> None:
        self._file.close()

    def where(self, name: str) -> str:
        return f"{self.path}: {opening.printable(name)}"

    def read(self, name: str, images: bool = True) -> Demo:
        """One demonstration, with or without its images.  Raises RecordError."""
        where = self.where(name)
        group = opening.group(opening.member(self._data, name, str(self.path), self.path), where)
        found = {array: opening.member(group, array, where, self.path) for array in (*LAYOUT, SEGMENT, OBJECT_POS)}
        if missing := [array for array in LAYOUT if found[array] is None]:
            raise RecordError(f"{where} has no {missing[0]}: {OTHER_LAYOUT}")
        stored = {array: opening.numbers(each, f"{where}: {array}") for array, each in found.items() if each is not None}
        frames = stored["actions"].shape[:1]
        if frames == (0,):
            raise RecordError(f"{where} has no steps: actions is {stored['actions'].shape}")
        arrays = {}
        for array, row in LAYOUT.items():
            _check(stored[array], (*frames, *row), f"{where}: {array}", array in IMAGES)
            if images or array not in IMAGES:
                arrays[array] = _measured(opening.read(stored[array], f"{where}: {array}"), f"{where}: {array}")
        return Demo(
            name=name,
            instruction=self.instruction,
            arrays=arrays,
            attributes=opening.attributes(group, where),
            **_additions(stored, where, frames),
        )


def read_demos(path: Path, images: bool = True) -> Iterator[Demo]:
    """The demonstrations of a file as they are stored, one at a time.

    Raises RecordError for a file that cannot be read, and at the first demonstration that does not have the layout `LAYOUT`
    or has a number that is not finite.
    """
    with DemoFile(path) as file:
        for name in file.names:
            yield file.read(name, images)


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
            opened, old = opening.open_file(source)
            with opened:
                if not data.attrs:
                    data.attrs.update(old.attrs)
                for name in demo_names(old):
                    old.copy(old[name], data, name=f"demo_{len(data)}")
        _count(data)


def attempts_in(path: Path) -> set[int]:
    """The attempts whose demonstrations a file of vla-bench contains.  Raises RecordError."""
    file, data = opening.open_file(path)
    with file:
        return {int(data[name].attrs["attempt"]) for name in data if "attempt" in data[name].attrs}


def suite_name(path: Path) -> str:
    """LIBERO's name of the suite of a file: what the name of the nearest of its folders that tells begins with, as in
    libero_10_no_noops/ or libero_goal_256/part_1/.

    A link's own name counts before its target's.  Where none tells, the name of its own folder without `_no_noops`.
    """
    folder = Path(os.path.abspath(path)).parent
    for place in (folder, folder.resolve()):
        for name in (place.name, *(above.name for above in place.parents)):
            for suite in LIBERO_NAMES:
                if re.match(rf"{suite}(?![a-zA-Z0-9])", name):
                    return suite
    return folder.name.removesuffix("_no_noops")


def _check(array, wanted: tuple[int | None, ...], where: str, image: bool) -> None:
    shape = array.shape
    if len(shape) != len(wanted) or any(want not in (None, got) for want, got in zip(wanted, shape, strict=True)):
        raise RecordError(f"{where} is {shape}, not {tuple('any' if n is None else n for n in wanted)}: {OTHER_LAYOUT}")
    if image and (array.dtype != np.uint8 or shape[1] != shape[2] or not shape[1]):
        raise RecordError(f"{where} is {shape} {array.dtype}, not square images of uint8")


def _measured(values: np.ndarray, where: str) -> np.ndarray:
    """The values, where all are finite and none is garbage."""
    if values.dtype.kind == "f" and not (sane := np.abs(values) <= LARGEST).all():
        rows = np.flatnonzero(~sane.reshape(len(values), -1).all(axis=1))
        first = values[rows[0]][~sane[rows[0]]].flat[0]
        more = f", and {len(rows) - 1} more rows" if len(rows) > 1 else ""
        raise RecordError(f"{where}, row {rows[0]}: {first:g}{more}")
    return values


def _additions(stored: dict[str, object], where: str, frames: tuple[int]) -> dict[str, object]:
    """The arrays that only vla-bench's files have, or their defaults for others."""
    segment = opening.read(stored[SEGMENT], f"{where}: {SEGMENT}") if SEGMENT in stored else np.zeros(frames, np.int32)
    positions, names = np.zeros((*frames, 0, 3)), ()
    if OBJECT_POS in stored:
        positions = _measured(opening.read(stored[OBJECT_POS], f"{where}: {OBJECT_POS}"), f"{where}: {OBJECT_POS}")
        attributes = opening.attributes(stored[OBJECT_POS], f"{where}: {OBJECT_POS}")
        names = tuple(map(str, np.ravel(attributes.get(OBJECT_NAMES, ()))))
    if segment.dtype.kind not in "iu" or segment.shape != frames or positions.shape != (*frames, len(names), 3):
        raise RecordError(f"{where}: {SEGMENT} {segment.shape} or {OBJECT_POS} {positions.shape} do not fit {frames[0]} frames")
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
