"""Reads what others may have written: regular files of bounded size, JSON of bounded depth, values of the types that are written.

The types are those of the dataclasses that hold the values; msgspec compares the two, and says where they differ.  No number is
NaN or infinite, and no text a half of a surrogate pair: JSON has neither.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

MB = 1 << 20
LARGEST = 256 * MB  # of a journal; a whole run of all suites has 10 MB
SMALL = 16 * MB  # of a configuration
DEEPEST = 50

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
AtLeastOne = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Measure = Annotated[float, Meta(ge=0, le=1e15)]  # a time, a cost or a mean of counts
Text = Annotated[str, Meta(max_length=MB)]

Value = TypeVar("Value")


def read_bytes(path: Path, most: int = LARGEST) -> bytes:
    """The content of a regular file, or of a link to one.  Never waits for a pipe.

    Raises OSError, also for what is no regular file, or has more than `most` bytes.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        about = os.fstat(descriptor)
        _check_regular(about, path)
        if about.st_size > most:
            raise OSError(errno.EFBIG, f"it has {about.st_size:,} bytes, and at most {most:,} are read", str(path))
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(most)
    finally:
        os.close(descriptor)


def check_regular(path: Path) -> None:
    """Raises OSError for what is no regular file, nor a link to one: opening it could wait for ever."""
    _check_regular(os.stat(path), path)


def _check_regular(about: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder", str(path))
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def decode(text: bytes | str) -> object:
    """The value of a JSON text.  Raises ValueError, also where it is nested more than 50 deep."""
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    _check_depth(value)
    return value


def read_object(path: Path, most: int = SMALL) -> dict[str, object]:
    """The JSON object in a file; some editors put a byte order mark in front.  Raises OSError, ValueError."""
    value = decode(read_bytes(path, most).removeprefix(b"\xef\xbb\xbf"))
    if not isinstance(value, dict):
        raise ValueError(f"it holds {described(value)}, not an object")
    return value


def typed(value: object, kind: type[Value]) -> Value:
    """The value as a `kind`: a dataclass, or any type that msgspec knows.  Raises ValueError with the place that differs."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.MsgspecError as error:
        what, _, place = str(error).partition(" - at `$")
        named = place.strip(".`") or "it"
        given = "" if "[...]" in place else f" is {_at(value, place)!r:.60}"  # msgspec does not say which of a table's entries
        raise ValueError(f"{named}{given}: {what}") from None


def _at(value: object, place: str) -> object:
    """The value at a place such as ".cuts[0].kept", as far as the place is given."""
    for name, number in re.findall(r"\.(\w+)|\[(\d+)\]", place):
        try:
            value = value[name] if name else value[int(number)]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
    return value


def refuse_unknown(table: Mapping[str, object], known: Iterable[str]) -> None:
    """Raises ValueError for a key that is not known: it is of a later version, and may change what the others mean."""
    if unknown := table.keys() - {*known}:
        raise ValueError(f"unknown field {min(unknown)!r:.60}")


def described(value: object) -> str:
    """The kind of a JSON value, in its words."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _check_depth(value: object) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ValueError("it is nested too deeply")
        inside = [each for each in level if isinstance(each, (dict, list))]
        level = [child for each in inside for child in (each.values() if isinstance(each, dict) else each)]
        level = [child for child in level if isinstance(child, (dict, list))]
