"""One random change of a file: of its bytes, of a value in its JSON, of what kind of file it is."""

from __future__ import annotations

import json
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import msgpack

from vla_bench.lines import CHECKSUM, with_checksum
from vla_bench.results.summary_check import content_checksum

HOSTILE = (
    None, True, False, 0, -1, 1, 2, 7, 10**5, 10**9, 2**31, 2**62, 2**63, 2**64, 10**30, 0.5, -0.0, 1e-300, 1e300, 5e-324,
    float("nan"), float("inf"), float("-inf"), "", "x", "None", "nan", "1e999", "٣", "../../etc", "/dev/zero", "a/b", "\x00",
    "\x1b[2J", "[red]x[/red]", "{}", "0-999999999999", "9" * 5000, "é" * 300, "\ud800", [], {}, [[]], [None], [0],
    [1e308] * 8, {"x": 1}, {"": None}, [[0] * 3] * 2,
)  # fmt: skip
TOKENS = (
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"null",
    b"{}",
    b"[]",
    b'""',
    b"\x00",
    b"\xff\xfe",
    b"9" * 30,
    b"\x80\x05.",
    b"{" * 9,
    b"\n",
)
DEPTH = 3000


@dataclass
class Mutation:
    """What was changed.  unsealed: checksums stand as they were, so that the change can be seen."""

    path: Path
    before: bytes
    what: str
    unsealed: bool

    def undo(self) -> None:
        """The file as it was."""
        remove(self.path)
        self.path.write_bytes(self.before)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def mutate(path: Path, data: bytes, draw: random.Random, sealed: bool) -> Mutation:
    """Change the file at `path`, which holds `data`."""
    if path.suffix == ".msgpack" and draw.random() < 0.5 and (changed := _changed_frame(data, draw)):
        path.write_bytes(changed[0])
        return Mutation(path, data, changed[1], True)
    documents = _documents(data, path.suffix == ".jsonl")
    if draw.random() < 0.04:
        return Mutation(path, data, _other_kind(path, draw), False)
    if documents and draw.random() < 0.7:
        lines, what = _change_value(documents, draw)
        seal = sealed and draw.random() < 0.7
        path.write_bytes(b"\n".join(_text(line, seal) for line in lines) + b"\n")
        return Mutation(path, data, what, not seal)
    changed, what = _change_bytes(data, draw)
    path.write_bytes(changed)
    return Mutation(path, data, what, True)


def _changed_frame(data: bytes, draw: random.Random) -> tuple[bytes, str] | None:
    """A frame with one value changed; None for a value that a frame cannot have."""
    try:
        documents, what = _change_value([msgpack.unpackb(data)], draw)
        return msgpack.packb(documents[0]), what
    except (ValueError, OverflowError):
        return None


def _documents(data: bytes, lines: bool) -> list[object]:
    try:
        return [json.loads(line) for line in (data.splitlines() if lines else [data]) if line.strip()]
    except ValueError:
        return []


def _text(value: object, seal: bool) -> bytes:
    if seal and isinstance(value, dict) and CHECKSUM in value:
        value = {key: own for key, own in value.items() if key != CHECKSUM}
        if "totals" not in value:
            return with_checksum(json.dumps(value)).encode()
        try:
            value[CHECKSUM] = content_checksum(value)
        except ValueError:  # a number that is not finite has none
            pass
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _change_value(documents: list[object], draw: random.Random) -> tuple[list[object], str]:
    """Replace, delete, add or nest one value somewhere in the documents."""
    at = draw.randrange(len(documents))
    places = list(_places(documents[at]))
    if not places or draw.random() < 0.02:
        documents[at] = draw.choice(HOSTILE)
        return documents, "another document"
    holder, key = draw.choice(places)
    what = draw.choice(("replace", "replace", "replace", "delete", "add", "twice", "deep", "digit"))
    if what == "delete":
        del holder[key]
    elif what == "add" and isinstance(holder, dict):
        holder[draw.choice(("x", "module.x", f"module.{key}", ""))] = draw.choice(HOSTILE)
    elif what == "twice" and isinstance(holder, list):
        holder *= 2
    elif what == "deep":
        nested: object = 0
        for _ in range(draw.choice((3, 60, 900))):
            nested = draw.choice(([nested], {"x": nested}))
        holder[key] = nested
    elif what == "digit" and type(holder[key]) in (int, float):
        holder[key] = holder[key] * draw.choice((-1, 0, 10, 1000, 1e9)) + draw.choice((0, 1, -1))
    else:
        holder[key] = draw.choice(HOSTILE)
    return documents, f"{what} {key!r}"


def _places(value: object):
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield value, key
        yield from _places(child)


def _change_bytes(data: bytes, draw: random.Random) -> tuple[bytes, str]:
    at = draw.randrange(len(data) + 1)
    if draw.random() < 0.5:
        at = min(at, draw.randrange(200))  # headers stand in front
    what = draw.choice(("flip", "flip", "flip", "cut", "insert", "drop", "twice", "empty", "deep", "more"))
    if what == "flip":
        changed = bytearray(data)
        for _ in range(draw.choice((1, 1, 2, 8))):
            if changed:
                changed[(at + draw.randrange(9)) % len(changed)] = draw.randrange(256)
        return bytes(changed), f"bytes at {at}"
    if what == "cut":
        return data[:at], f"cut at {at}"
    if what == "insert":
        return data[:at] + draw.choice(TOKENS) + data[at:], f"insert at {at}"
    if what == "drop":
        return data[:at] + data[at + draw.randrange(1, 40) :], f"drop at {at}"
    if what == "twice":
        return data[: at + 20] + data[at:], f"twice at {at}"
    if what == "deep":
        return draw.choice((b"[" * DEPTH, b'{"a":' * DEPTH, b"x(" * DEPTH, b"[" * DEPTH + b"]" * DEPTH)), "deep"
    return (b"", "empty") if what == "empty" else (data + draw.choice(TOKENS), "more")


def _other_kind(path: Path, draw: random.Random) -> str:
    """A pipe, a folder, a link into nowhere or to itself, nothing, or zeros of a size that no memory holds."""
    remove(path)
    what = draw.choice(("pipe", "folder", "dangling", "loop", "missing", "huge", "zeros"))
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    elif what == "dangling":
        path.symlink_to(path.with_name("nowhere"))
    elif what == "loop":
        path.symlink_to(path)
    elif what == "zeros":
        path.symlink_to("/dev/zero")
    elif what == "huge":
        with open(path, "wb") as file:
            file.truncate(60 << 30)  # sparse
    return what
