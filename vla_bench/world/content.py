"""What a folder of files holds: every file behind its links, their SHA-256, and a list of checksums beside them."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from vla_bench.errors import AssetError

SUMS = "SHA256SUMS"
BLOCK = 1 << 20  # bytes


class File(NamedTuple):
    sha256: str
    size: int  # bytes


def read_list(path: Path) -> dict[str, File]:
    """A list of ours: path -> file.  Lines of SHA-256, size and path, with tabs between; `#` begins a comment."""
    lines = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))
    return {name: File(sha256, int(size)) for sha256, size, name in lines}


def sha256_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def paths(root: Path) -> Iterator[str]:
    """Every regular file below `root`, relative to it: hidden ones, too, and those behind links.  Raises AssetError."""
    pending = [(root, (os.path.realpath(root),))]
    while pending:
        folder, above = pending.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError as error:
            raise AssetError(f"cannot read {folder}: {error.strerror}", f"chmod -R u+rX {shlex.quote(str(root))}") from error
        for entry in entries:
            if entry.is_file():
                yield Path(entry.path).relative_to(root).as_posix()
            elif entry.is_dir():
                real = os.path.realpath(entry.path)
                if real in above:
                    raise AssetError(f"{entry.path} is a link to a folder that it lies in", f"rm {shlex.quote(entry.path)}")
                pending.append((Path(entry.path), (*above, real)))


def digest(path: Path) -> str:
    """SHA-256 of a file.  Raises AssetError."""
    whole = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                whole.update(block)
    except OSError as error:
        raise AssetError(f"cannot read {path}: {error.strerror}", f"chmod u+r {shlex.quote(str(path))}") from error
    return whole.hexdigest()


def digests(root: Path, files: Iterable[str]) -> dict[str, str]:
    """Path -> SHA-256 of some files below `root`.  Raises AssetError."""
    return {path: digest(root / path) for path in sorted(files)}


def folder_hash(files: Mapping[str, str]) -> str:
    """One SHA-256 for all of `files`, path -> SHA-256."""
    return hashlib.sha256("".join(f"{sha256}  {path}\n" for path, sha256 in sorted(files.items())).encode()).hexdigest()


def check_sums(root: Path) -> None:
    """Compare the folder with its list of checksums, if it has one.  Raises AssetError for a missing or changed file."""
    if not (root / SUMS).is_file():
        return
    fix = f"cd {shlex.quote(str(root))} && sha256sum --check --quiet {SUMS}"
    try:
        lines = (root / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise AssetError(f"cannot read {root / SUMS}: {error}", fix) from error
    for line in filter(str.strip, lines):
        sha256, _, path = line.partition(" ")
        path = path[1:].removeprefix("./")  # behind the blank: another one, or * for a binary file
        if not path:
            raise AssetError(f'{root / SUMS} has a line that is no checksum: "{line}"', fix)
        if os.path.isabs(path) or os.path.normpath(path).startswith("..") or not (root / path).is_file():
            raise AssetError(f"asset folder {root} lacks {path}, which {SUMS} lists", fix)
        if digest(root / path) != sha256.lower():
            raise AssetError(f"asset folder {root} was changed: {path} does not match {SUMS}", fix)
