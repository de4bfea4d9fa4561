"""Frames as both wires have them: msgpack, in which a map with a marker is an array or an image.

A frame comes from anywhere: how much it may hold is decided before anything is built, and only arrays of plain numbers, PNG and
JPEG are.  The wires differ in how they spell the marker of an array, `"__ndarray__"` (vla-eval) or `b"__ndarray__"` (openpi);
both are read.  Sources: protocol/numpy_codec.py of vla-eval 0.8.0, msgpack_numpy.py of openpi-client 0.1.2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgpack
import numpy as np

from vla_bench.documents import DEEPEST, MB
from vla_bench.errors import WireError
from vla_bench.wires.pictures import decode_picture

FRAME = 16 * MB  # bytes of a frame; an observation with two raw pictures of 256 pixels has 0.4 MB
UNPACKED = 64 * MB  # bytes of all arrays and pictures of a frame
ITEMS = 1024  # entries of a list or map
CONTAINERS = 1024  # lists and maps of a frame
DIMENSIONS = 8
ARRAY, IMAGE, SCALAR = "__ndarray__", "__image__", "__npgeneric__"

_NUMBERS = [np.dtype(kind).newbyteorder(order) for kind in "?bBhHiIqQefd" for order in "<>"]
# Both spellings that servers use: "<f4" as numpy writes its files, "float32" as people do.
DTYPES = {each.str: each for each in _NUMBERS} | {np.dtype(each.type).name: np.dtype(each.type) for each in _NUMBERS}


def encode(value: object, *, bytes_keys: bool = False) -> bytes:
    """The frame of a value: None, bool, int, float, str, bytes, numpy arrays and numbers, lists and string-keyed maps of these.

    bytes_keys: spell the marker of arrays as openpi does.
    """

    def plain(each: object) -> object:
        if isinstance(each, np.generic):
            return each.item()
        if not isinstance(each, np.ndarray) or each.dtype.str not in DTYPES:
            raise TypeError(f"{type(each).__name__} {getattr(each, 'dtype', '')} has no place in a frame")
        fields = {ARRAY: True, "data": each.tobytes(), "dtype": each.dtype.str, "shape": list(each.shape)}
        return {key.encode(): field for key, field in fields.items()} if bytes_keys else fields

    return msgpack.packb(value, default=plain)


def decode(data: bytes) -> object:
    """The value of a frame; its arrays and pictures as numpy arrays of their own memory.  Raises WireError."""
    if len(data) > FRAME:
        raise WireError(f"a frame of {len(data):,} bytes: at most {FRAME:,} are read")
    unpacked = _Unpacked()
    bounds = {"max_array_len": ITEMS, "max_map_len": ITEMS, "max_ext_len": 0}
    try:
        value = msgpack.unpackb(data, object_hook=unpacked.map, list_hook=unpacked.list, **bounds)
    except (ValueError, RecursionError) as error:  # msgpack's own errors are ValueErrors, UnicodeDecodeError is one
        raise WireError(f"a frame of {len(data):,} bytes is not readable: {error or type(error).__name__}") from None
    if _deeper(value, DEEPEST):
        raise WireError(f"a frame is nested more than {DEEPEST} deep")
    return value


def decode_map(data: bytes) -> dict[str, object]:
    """The value of a frame that holds a map with texts as keys.  Raises WireError."""
    value = decode(data)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise WireError(f"a frame holds {type(value).__name__}, not a map with names")
    return value


class _Unpacked:
    """Replaces the marked maps of one frame, and counts what it builds.  Raises ValueError."""

    def __init__(self):
        self._containers = 0
        self._room = UNPACKED

    def list(self, value: list) -> list:
        self._count()
        return value

    def map(self, value: dict) -> object:
        self._count()
        if _field(value, ARRAY) is not None:
            return self._array(value)
        if _field(value, IMAGE) is not None:
            return self._image(value)
        return _field(value, "data") if _field(value, SCALAR) is not None else value

    def _count(self) -> None:
        self._containers += 1
        if self._containers > CONTAINERS:
            raise ValueError(f"it has more than {CONTAINERS} lists and maps")

    def _take(self, size: int) -> None:
        self._room -= size
        if self._room < 0:
            raise ValueError(f"its arrays and pictures have more than {UNPACKED:,} bytes")

    def _array(self, value: Mapping) -> np.ndarray:
        data, name, shape = (_field(value, key) for key in ("data", "dtype", "shape"))
        dtype = DTYPES.get(name) if isinstance(name, str) else None
        if dtype is None:
            raise ValueError(f"an array of {str(name)!r:.40}, which is no kind of plain numbers")
        shape = _shape(shape)
        size = math.prod(shape) * dtype.itemsize
        if not isinstance(data, bytes) or len(data) != size:
            has = f"{len(data):,} bytes" if isinstance(data, bytes) else type(data).__name__
            raise ValueError(f"an array {dtype} of shape {shape} has {size:,} bytes, not {has}")
        self._take(size)
        return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="))

    def _image(self, value: Mapping) -> np.ndarray:
        form, shape = _field(value, "format"), _shape(_field(value, "shape"))
        if form == "raw":
            return self._array(value)
        self._take(math.prod(shape))
        return decode_picture(_field(value, "data"), form, shape)


def _field(value: Mapping, name: str) -> object:
    """The entry under a name, which either wire may spell in bytes."""
    return value.get(name, value.get(name.encode()))


def _shape(shape: object) -> tuple[int, ...]:
    if isinstance(shape, list) and len(shape) <= DIMENSIONS and all(type(n) is int and 0 <= n <= UNPACKED for n in shape):
        return tuple(shape)
    raise ValueError(f"{str(shape)!r:.60} is no shape of an array")


def _deeper(value: object, depth: int) -> bool:
    """Whether there are lists and maps in more than `depth` levels."""
    level = [value]
    for _ in range(depth):
        inside = [each for each in level if isinstance(each, (dict, list))]
        level = [child for each in inside for child in (each.values() if isinstance(each, dict) else each)]
    return any(isinstance(each, (dict, list)) for each in level)
