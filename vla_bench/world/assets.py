"""Asset packs: the meshes (or primitives) that a simulator loads.

A pack is a folder in LIBERO's asset layout.  Its name and hash go into every result, and results of different packs
are never compared.

    primitive       embedded in this package, made of MuJoCo primitives, no download
    official        LIBERO's own meshes: every file that the suites load is LIBERO's own, bit for bit
    libero-partial  any other folder

Names say what a folder holds, not what it is called or where it came from.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vla_bench.errors import AssetError, nearest
from vla_bench.suites import Suite, load_suites
from vla_bench.world import libero_pro, official
from vla_bench.world.cache import cache_dir
from vla_bench.world.changed import CHANGED
from vla_bench.world.content import check_sums, digests, folder_hash, paths, sha256_of
from vla_bench.world.required import places, required_models
from vla_bench.world.used import USE_PRIMITIVE, pack_files, used_files

OWN_LIST = "manifest.json"  # in the written copy of the embedded pack


@dataclass(frozen=True)
class AssetPack:
    """A pack on disk.

    reason: why it was chosen.
    changed: hash of its models of the objects that LIBERO-PRO adds, which `sha256` says nothing of, so that results of suites
        without them are of one pack; None where it has none, or where `sha256` is of all its files.
    """

    name: str
    root: Path
    sha256: str
    reason: str = ""
    changed: str | None = None

    @property
    def embedded(self) -> bool:
        """Whether this is the package's own pack, which has its own robot model and render quality."""
        return self.name == "primitive"

    @property
    def identity(self) -> dict[str, str]:
        """Name and hash, as results record them."""
        return {"name": self.name, "sha256": self.sha256}

    def changed_objects(self, suites: Sequence[Suite]) -> dict[str, str]:
        """Of every suite with objects that LIBERO-PRO adds the hash of what it loads them from, as runs record it."""
        if self.changed is None:
            return {}
        return {suite.name: self.changed for suite in suites if not CHANGED.keys().isdisjoint(required_models([suite]))}


@dataclass(frozen=True)
class Copy:
    """A source of LIBERO's meshes with the pack that is there, or why it is none; neither where the source has no folder."""

    source: official.Source
    pack: AssetPack | None = None
    error: AssetError | None = None


def resolve_assets(spec: str = "auto", suites: Sequence[Suite] | None = None) -> AssetPack:
    """The pack called `spec`: auto, primitive, official or a folder.  Raises AssetError.

    suites: those whose assets the pack must contain; None for all suites.
    """
    suites = load_suites() if suites is None else suites
    if spec == "primitive":
        return _primitive("asked for", suites)
    if spec in ("auto", "official"):
        pack = best(copies(suites))
        if pack is not None:
            return pack
        if spec == "auto":
            return _primitive("LIBERO's meshes are not on this machine", suites)
        return _folder(official.hub_copy(download=True), "downloaded from the hub", suites)
    root = Path(spec).expanduser()
    if not root.is_dir():
        raise AssetError(f'no asset pack "{spec}".{nearest(spec, ["auto", "primitive", "official"])}', "vla-bench assets")
    return _folder(root.resolve(), "asked for", suites)


def copies(suites: Sequence[Suite]) -> Iterator[Copy]:
    """LIBERO's meshes in every place where they may be, one after another, the first choice first."""
    for source in official.sources():
        if source.root is None:
            yield Copy(source)
            continue
        try:
            yield Copy(source, _folder(source.root, f"from {source.name}", suites))
        except AssetError as error:
            yield Copy(source, error=AssetError(error.message, source.fix))


def best(found: Iterator[Copy]) -> AssetPack | None:
    """The first copy that is LIBERO's own, else the first that is whole; None where there is none.

    Raises AssetError where every copy lacks files: the first one's.
    """
    pack = error = None
    for copy in found:
        if copy.pack is not None and copy.pack.name == "official":
            return copy.pack
        pack, error = pack or copy.pack, error or copy.error
    if pack is None and error is not None:
        raise error
    return pack


def _folder(root: Path, reason: str, suites: Sequence[Suite]) -> AssetPack:
    """The pack in a folder, named for what it holds.  Raises AssetError."""
    files, missing = used_files(root, suites)
    if missing:
        first = sorted(missing)[:5]
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise AssetError(f"asset folder {root} lacks {', '.join(first)}{more}", instead=USE_PRIMITIVE)
    check_sums(root)
    difference = official.first_difference(root, files)
    if difference is None:
        changed = folder_hash({path: file.sha256 for path, file in libero_pro.meshes().items()})
        return AssetPack("official", root, official.official_hash(), f"{reason}; bit for bit LIBERO's own", changed)
    reason = f"{reason}; {difference} is not LIBERO's own"
    return AssetPack("libero-partial", root, folder_hash(digests(root, {*pack_files(root), *files})), reason)


def _primitive(reason: str, suites: Sequence[Suite]) -> AssetPack:
    """Write the embedded pack to the user's cache where it is missing or damaged, and check that it has every model."""
    from vla_bench.world import primitives

    content = primitives.files()
    whole = folder_hash(_hashes(content))
    changed = primitives.changed_files(content)
    content |= changed
    for name, task in required_models(suites).items():
        if content.keys().isdisjoint(places(name)):
            raise AssetError(f"pack primitive has no model of {name}, which {task} needs", "vla-bench eval --assets official")
    files = _hashes(content)
    root = cache_dir() / "packs" / f"primitive-{folder_hash(files)[:16]}"
    if not root.is_dir() or not _is_written(root, files):
        root.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".primitive-", dir=root.parent))
        for path, data in content.items():
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            (temporary / path).write_bytes(data)
        (temporary / OWN_LIST).write_text(json.dumps({"name": "primitive", "sha256": whole, "files": files}, indent=1) + "\n")
        try:
            if root.is_dir():
                shutil.rmtree(root)
            os.rename(temporary, root)
        except OSError:
            # Another process wrote the same pack in the meantime: use it.
            shutil.rmtree(temporary, ignore_errors=True)
            if not _is_written(root, files):
                raise AssetError(f"cannot write the primitive pack to {root}", f"rm -r {root}") from None
    return AssetPack("primitive", root, whole, reason, folder_hash(_hashes(changed)))


def _hashes(content: Mapping[str, bytes]) -> dict[str, str]:
    return {path: sha256_of(data) for path, data in content.items()}


def _is_written(root: Path, files: dict[str, str]) -> bool:
    return digests(root, set(paths(root)) - {OWN_LIST}) == files
