"""The asset packs of this machine: where each comes from, and whether it is what it should be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vla_bench.errors import AssetError
from vla_bench.suites import Suite, load_suites
from vla_bench.values import Value
from vla_bench.world.assets import Copy, best, copies
from vla_bench.world.content import paths


class State(Value):
    """What a pack is found to be; `verified` and `changed` are told by the list of LIBERO's files."""

    BUNDLED = "bundled"
    VERIFIED = "verified"
    CHANGED = "changed"
    UNUSABLE = "unusable"
    ABSENT = "absent"


@dataclass(frozen=True)
class Installed:
    """A pack, or a place where one may be.

    pack: the name that results record; None where there is no pack.
    size: bytes of all its files; None where there are none.
    why: which files are changed, missing or cannot be read; empty otherwise.
    get: the command that brings LIBERO's meshes, whole ones; None where there is nothing to do.
    """

    pack: str | None
    source: str
    state: State
    size: int | None = None
    folder: Path | None = None
    why: str = ""
    get: str | None = None

    def to_dict(self) -> dict[str, object]:
        return {**vars(self), "folder": self.folder and str(self.folder)}


def installed(suites: Sequence[Suite] | None = None) -> tuple[list[Installed], str]:
    """The embedded pack and every source of LIBERO's meshes, checked for the suites; and what `--assets auto` takes of them."""
    from vla_bench.world import primitives

    found = list(copies(load_suites() if suites is None else suites))
    size = sum(map(len, primitives.files().values()))
    rows = [Installed("primitive", "this package", State.BUNDLED, size), *map(_row, found)]
    try:
        pack = best(iter(found))
    except AssetError as error:
        return rows, f"nothing: {error.message}"
    return rows, "primitive" if pack is None else f"{pack.name}, {pack.reason}"


def _row(copy: Copy) -> Installed:
    name, root, fix = copy.source
    if root is None:
        return Installed(None, name, State.ABSENT, get=fix)
    if copy.pack is None:
        return Installed(None, name, State.UNUSABLE, _size(root), root, copy.error.message, fix)
    if copy.pack.name == "official":
        return Installed("official", name, State.VERIFIED, _size(root), root)
    return Installed(copy.pack.name, name, State.CHANGED, _size(root), root, copy.pack.reason, fix)


def _size(root: Path) -> int | None:
    try:
        return sum((root / path).stat().st_size for path in paths(root))
    except (AssetError, OSError):
        return None  # `why` says what cannot be read
