"""Reads numpy's files: arrays of plain numbers, of the size that their header says and the file has.  Nothing in them is run."""

from __future__ import annotations

import io
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from vla_bench.documents import LARGEST, SMALL, read_bytes

NOT_A_ZIP = (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, NotImplementedError, RuntimeError, OverflowError)


def read_array(path: Path, most: int = SMALL) -> np.ndarray:
    """The array in a `.npy` file.  Raises OSError; ValueError where the file does not hold what its header says."""
    return _array(read_bytes(path, most))


def read_arrays(path: Path, names: Sequence[str] | None = None, most: int = LARGEST) -> dict[str, np.ndarray]:
    """The arrays in a `.npz` file: these, or all.  Raises OSError; ValueError for damage, or one that is missing.

    most: bytes of the file, and of each array.
    """
    file = io.BytesIO(read_bytes(path, most))
    try:
        with zipfile.ZipFile(file) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            if lacking := [name for name in names or () if name not in members]:
                raise ValueError(f"it lacks {lacking[0]}")
            return {name: _array(_unpacked(archive, members[name], most)) for name in names or members}
    except NOT_A_ZIP as error:
        raise ValueError(f"it is damaged: {error or type(error).__name__}") from error


def _unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    if member.file_size > most:
        raise ValueError(f"{member.filename} unpacks to {member.file_size:,} bytes, and at most {most:,} are read")
    return archive.read(member)  # no more than its size: then its checksum would not match


def _array(data: bytes) -> np.ndarray:
    file = io.BytesIO(data)
    try:
        version = npy.read_magic(file)
        shape, fortran, dtype = (npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0)(file)
    except (ValueError, TypeError, SyntaxError, EOFError, RecursionError, MemoryError, tokenize.TokenError) as error:
        raise ValueError(f"it has no header of an array: {error}") from None
    data = file.read()
    if dtype.hasobject or not dtype.itemsize or any(n < 0 for n in shape):
        raise ValueError(f"its header has {dtype} of shape {shape}, not numbers")
    if math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError(f"its header has {dtype} of shape {shape}, and it has {len(data)} bytes of it")
    return np.frombuffer(bytearray(data), dtype).reshape(shape, order="F" if fortran else "C")
