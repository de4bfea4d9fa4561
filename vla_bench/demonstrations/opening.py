"""Opens HDF5 files that others made, without trust: no link leads out of a file, and sizes are checked before anything is read.

HDF5 follows links into any file that the user may read, keeps arrays in other files, and reserves the memory that a
shape asks for, whatever the file's length.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from vla_bench.errors import RecordError

AGAIN = "download it again; if vla-bench made it, delete it and repeat its `vla-bench demos` command"
MOST_BYTES = 2 << 30  # of one array: 10,000 frames of 256 x 256 pixels; LIBERO's longest demonstration has 505
MOST_ATTRIBUTE_BYTES = 64 << 20  # the longest are MJCF models, below 1 MB
# What h5py raises for a damaged file, depending on where the damage is.
DAMAGE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError, AttributeError)


def open_file(path: Path):
    """The file, open for reading, and its group `data`.  Raises RecordError."""
    import h5py

    try:
        file = h5py.File(path, "r")
    except DAMAGE as error:
        raise RecordError(f"{path} is not a readable HDF5 file: {error}", AGAIN) from error
    try:
        data = member(file, "data", str(path), path)
        if data is None:
            raise RecordError(f"{path} holds no demonstrations: it has no group `data`")
        return file, group(data, f"{path}: data")
    except RecordError:
        file.close()
        raise


def names(parent, where: str) -> list[str]:
    """The names in a group.  Raises RecordError."""
    try:
        return [name if isinstance(name, str) else name.decode() for name in parent]  # bytes: not in UTF-8
    except DAMAGE as error:
        raise RecordError(f"{where} is damaged: {error}", AGAIN) from error


def member(parent, name: str, where: str, file: Path):
    """What `parent` has under `name`, a/b being b in its group a; None where it has nothing.

    file: named in the command that helps.  Raises RecordError for damage and for links.
    """
    import h5py

    try:
        for part in name.split("/"):
            if not isinstance(parent, h5py.Group):
                return None
            # `part in parent`, and get(part, getlink=True), would open the file that a link leads to.
            links, key = parent.id.links, part.encode()
            if not links.exists(key):
                return None
            if links.get_info(key).type != h5py.h5l.TYPE_HARD:
                target = links.get_val(key)
                target = target if isinstance(target, tuple) else (target,)
                target = printable(":".join(each.decode(errors="replace") for each in target))
                raise RecordError(
                    f"{where}: {printable(name)} is a link to {target}, and links are not followed",
                    f"h5copy -f soft,ext -i {file} -s /data -o WHOLE_demo.hdf5 -d /data",
                )
            parent = parent[part]
    except DAMAGE as error:
        raise RecordError(f"{where}: {printable(name)} is damaged: {error}", AGAIN) from error
    return parent


def group(found, where: str):
    import h5py

    if not isinstance(found, h5py.Group):
        raise RecordError(f"{where} is not a group: not a file of LIBERO demonstrations")
    return found


def numbers(found, where: str):
    """An array of real numbers that lies in the file itself and is not too large, unread.  Raises RecordError."""
    import h5py

    if not isinstance(found, h5py.Dataset):
        raise RecordError(f"{where} is not an array: not a file of LIBERO demonstrations")
    try:
        shape, dtype, elsewhere = found.shape, found.dtype, found.is_virtual or found.external
        chunk, stored = found.chunks, found.id.get_storage_size()
    except DAMAGE as error:
        raise RecordError(f"{where} is damaged: {error}", AGAIN) from error
    if elsewhere:
        raise RecordError(f"{where} lies in other files, which are not read", "h5repack IN_demo.hdf5 OUT_demo.hdf5")
    if shape is None or dtype.kind not in "biuf":
        raise RecordError(f"{where} has no numbers but {printable(str(dtype)):.60}{' of no shape' if shape is None else ''}")
    size = dtype.itemsize * max(math.prod(shape), math.prod(chunk or (0,)))
    if size > MOST_BYTES:
        raise RecordError(f"{where} is {shape} {dtype}, {size / 2**30:,.0f} GiB; at most {MOST_BYTES >> 30} GiB are read")
    if math.prod(shape) and not stored:
        raise RecordError(f"{where} is {shape}, and was never written: nothing of it is in the file", AGAIN)
    return found


def read(dataset, where: str) -> np.ndarray:
    """All of an array that `numbers` returned.  Raises RecordError."""
    try:
        return dataset[:]
    except DAMAGE as error:  # a chunk that cannot be decompressed
        raise RecordError(f"{where} is damaged: {error}", AGAIN) from error


def attributes(found, where: str) -> dict[str, object]:
    """The attributes of a group.  Raises RecordError."""
    values: dict[str, object] = {}
    try:
        for name in found.attrs:
            size = found.attrs.get_id(name).get_storage_size()
            if size > MOST_ATTRIBUTE_BYTES:
                raise RecordError(f"{where}: attribute {printable(name)} has {size:,} bytes")
            values[name] = found.attrs[name]
    except DAMAGE as error:
        raise RecordError(f"{where}: its attributes are damaged: {error}", AGAIN) from error
    return values


def printable(text: str) -> str:
    """A name from a file, safe to print: others escaped, and not too long."""
    return (text if text.isprintable() else ascii(text))[:200]
