"""Asset packs: the meshes (or primitives) that a simulator loads.

A pack is a folder in LIBERO's asset layout.  Its name and hash go into every result, and results of different packs
are never compared.

    primitive       embedded in this package, made of MuJoCo primitives, no download
    official        LIBERO's own meshes, from the Hugging Face hub through hf-libero
    libero-partial  any folder given by path, which may not be the official set
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from vla_bench.errors import AssetError, nearest
from vla_bench.suites import Suite, load_suites
from vla_bench.world.required import by_name, required_models

HUB_REPOSITORY = "lerobot/libero-assets"
USE_PRIMITIVE = "vla-bench eval --assets primitive"
USE_OFFICIAL = "vla-bench eval --assets official"


@dataclass(frozen=True)
class AssetPack:
    """A pack on disk.  reason: why it was chosen."""

    name: str
    root: Path
    sha256: str
    reason: str = ""

    @property
    def embedded(self) -> bool:
        """Whether this is the package's own pack, which has its own robot model and render quality."""
        return self.name == "primitive"

    @property
    def identity(self) -> dict[str, str]:
        """Name and hash, as results record them."""
        return {"name": self.name, "sha256": self.sha256}


def resolve_assets(spec: str = "auto", suites: Sequence[Suite] | None = None) -> AssetPack:
    """The pack called `spec`: auto, primitive, official or a folder.  Raises AssetError.

    suites: those whose assets the pack must contain; None for all suites.
    """
    suites = load_suites() if suites is None else suites
    if spec == "primitive":
        return _primitive("asked for", suites)
    if spec == "official":
        return _folder("official", _find_official(download=True), "asked for", suites)
    if spec == "auto":
        root = _find_official(download=False)
        if root is not None:
            return _folder("official", root, "LIBERO's meshes are on this machine", suites)
        return _primitive("LIBERO's meshes are not on this machine", suites)
    root = Path(spec).expanduser()
    if not root.is_dir():
        raise AssetError(f'no asset pack "{spec}".{nearest(spec, ["auto", "primitive", "official"])}', USE_PRIMITIVE)
    return _folder("libero-partial", root.resolve(), "asked for", suites)


def manifest(root: Path) -> dict[str, str]:
    """Relative path -> SHA-256 of every file of a pack, without hidden files."""
    files = sorted(
        p for p in root.rglob("*") if p.is_file() and not any(part.startswith(".") for part in p.relative_to(root).parts)
    )
    return {
        p.relative_to(root).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files if p.name != "manifest.json"
    }


def pack_hash(files: dict[str, str]) -> str:
    return hashlib.sha256("".join(f"{digest}  {path}\n" for path, digest in sorted(files.items())).encode()).hexdigest()


def missing_files(root: Path, suites: Sequence[Suite]) -> list[str]:
    """Models that the suites' tasks need, and meshes and textures of these models, that are missing in `root`."""
    models = by_name(path.relative_to(root).as_posix() for path in root.rglob("*.xml"))
    missing = []
    for name, task in required_models(suites).items():
        if name not in models:
            missing.append(_described(name, task))
            continue
        path = root / models[name]
        try:
            references = [node.get("file") for node in ET.parse(path).iter() if node.get("file")]
        except ET.ParseError as error:
            raise AssetError(f"{path} is not XML: {error}", USE_PRIMITIVE) from error
        for reference in references:
            if not (path.parent / reference).exists():
                missing.append(os.path.normpath(f"{path.parent.relative_to(root).as_posix()}/{reference}"))
    return sorted(set(missing))


def _described(name: str, task: str) -> str:
    """A missing model by its path in the embedded pack, else by its name and the task that needs it."""
    from vla_bench.world import primitives

    return by_name(primitives.files()).get(name) or f"a model of {name}, which {task} needs"


def _folder(name: str, root: Path, reason: str, suites: Sequence[Suite]) -> AssetPack:
    missing = missing_files(root, suites)
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise AssetError(f"asset folder {root} lacks {', '.join(missing[:5])}{more}", USE_PRIMITIVE)
    files = manifest(root)
    listed = root / "SHA256SUMS"
    if listed.exists():
        expected = dict(reversed(line.split(maxsplit=1)) for line in listed.read_text().splitlines() if line.strip())
        expected = {path.strip().lstrip("*").removeprefix("./"): digest for path, digest in expected.items()}
        changed = [path for path, digest in expected.items() if path in files and files[path] != digest]
        if changed:
            raise AssetError(
                f"asset folder {root} was changed: {changed[0]} does not match SHA256SUMS", f"restore {root / changed[0]}"
            )
    return AssetPack(name, root, pack_hash(files), reason)


def _primitive(reason: str, suites: Sequence[Suite]) -> AssetPack:
    """Write the embedded pack to the user's cache where it is missing or damaged, and check that it has every model."""
    from vla_bench.world import primitives

    content = primitives.files()
    models = by_name(content)
    for name, task in required_models(suites).items():
        if name not in models:
            raise AssetError(f"pack primitive has no model of {name}, which {task} needs", USE_OFFICIAL)
    files = {path: hashlib.sha256(data).hexdigest() for path, data in content.items()}
    digest = pack_hash(files)
    root = cache_dir() / "packs" / f"primitive-{digest[:16]}"
    if not root.is_dir() or manifest(root) != files:
        root.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=".primitive-", dir=root.parent))
        for path, data in content.items():
            (temporary / path).parent.mkdir(parents=True, exist_ok=True)
            (temporary / path).write_bytes(data)
        (temporary / "manifest.json").write_text(
            json.dumps({"name": "primitive", "sha256": digest, "files": files}, indent=1) + "\n"
        )
        try:
            if root.is_dir():
                shutil.rmtree(root)
            os.rename(temporary, root)
        except OSError:
            # Another process wrote the same pack in the meantime: use it.
            shutil.rmtree(temporary, ignore_errors=True)
            if manifest(root) != files:
                raise AssetError(f"cannot write the primitive pack to {root}", f"rm -r {root}") from None
    return AssetPack("primitive", root, digest, reason)


def _find_official(download: bool) -> Path | None:
    """hf-libero's own `assets/`, else the hub's snapshot; None when neither is on this machine and `download` is false."""
    from vla_bench.world.libero import libero_root

    packaged = libero_root() / "assets"
    if packaged.is_dir():
        return packaged
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(HUB_REPOSITORY, repo_type="dataset", local_files_only=not download))
    except (OSError, ValueError) as error:
        # huggingface_hub's errors are OSErrors or ValueErrors, which also wrap connection errors.
        if not download:
            return None
        raise AssetError(
            f"cannot get LIBERO's meshes from the hub ({HUB_REPOSITORY}): {type(error).__name__}", USE_PRIMITIVE
        ) from error


def cache_dir() -> Path:
    """The folder of generated files: `VLA_BENCH_CACHE`, else the user's cache folder."""
    given = os.environ.get("VLA_BENCH_CACHE")
    return Path(given) if given else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vla-bench"
