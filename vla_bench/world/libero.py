"""Imports LIBERO and robosuite without their output, with a private configuration, and finds their files."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import io
import logging
import os
import tempfile
from pathlib import Path

from vla_bench.errors import WorldError
from vla_bench.files import discard, is_old
from vla_bench.suites import Suite, Task
from vla_bench.values import SuiteFiles
from vla_bench.world import libero_pro

INSTALL = "pip install --no-deps hf-libero==0.1.4"
TEMPORARY = "vla-bench-libero-"  # how the names of temporary folders begin
REINSTALL = "pip install --force-reinstall --no-deps hf-libero==0.1.4"


@functools.cache
def libero_root() -> Path:
    """The folder of LIBERO's BDDL files and init states, without importing it.  Raises WorldError."""
    spec = importlib.util.find_spec("libero")
    for location in spec.submodule_search_locations or [] if spec else []:
        root = Path(location) / "libero"
        if (root / "bddl_files").is_dir():
            return root
    raise WorldError("LIBERO is not installed", INSTALL)


def bddl_file(suite: Suite, task: Task) -> Path:
    """Raises WorldError for a file that is missing, or that is changed where there is a list of them."""
    if suite.files is SuiteFiles.LIBERO_PRO:
        return libero_pro.checked(f"bddl_files/{suite.libero_name}/{task.name}.bddl")
    path = libero_root() / "bddl_files" / suite.libero_name / f"{task.name}.bddl"
    if not path.is_file():
        raise WorldError(f"LIBERO has no {path.name} in {suite.libero_name}", REINSTALL)
    return path


def init_states_file(suite: Suite, task: Task) -> Path:
    """Raises WorldError as `bddl_file`, but for LIBERO's own, which whoever reads it finds missing."""
    if suite.files is SuiteFiles.LIBERO_PRO:
        return libero_pro.checked(f"init_files/{suite.libero_name}/{task.name}.pruned_init.npz")
    return libero_root() / "init_files" / suite.libero_name / f"{task.name}.pruned_init"


def _temporary_folder() -> Path:
    """A new one; those that killed processes left are removed.  Raises WorldError."""
    for left in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*"):
        if is_old(left):
            discard(left)
    try:
        return Path(tempfile.mkdtemp(prefix=TEMPORARY))
    except OSError as error:
        raise WorldError(f"cannot create a temporary folder: {error}", f"df -h {tempfile.gettempdir()}") from error


@functools.cache
def import_libero():
    """Import `libero.libero` once, without its prompt on standard input and robosuite's messages.  Raises WorldError.

    LIBERO prompts for a data set folder when it finds no `config.yaml`; it is given one in a temporary folder, so that
    the user's `~/.libero` is neither needed nor changed.
    """
    root = libero_root()
    config = _temporary_folder()
    paths = {"benchmark_root": root, "bddl_files": root / "bddl_files", "init_states": root / "init_files"}
    paths |= {"datasets": config / "datasets", "assets": config / "assets"}
    (config / "config.yaml").write_text("".join(f"{key}: {path}\n" for key, path in paths.items()))
    os.environ["LIBERO_CONFIG_PATH"] = str(config)
    logging.getLogger("robosuite_logs").addFilter(lambda record: record.levelno >= logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            module = importlib.import_module("libero.libero")
            importlib.import_module("libero.libero.envs")  # registers robots, objects and problems
        except ImportError as error:
            raise WorldError(
                f"LIBERO cannot be imported: {error}", "pip install -c constraints.txt -e . && " + INSTALL
            ) from error
        finally:
            (config / "config.yaml").unlink()
            config.rmdir()
    return module


def use_assets(root: Path) -> None:
    """Point LIBERO at an asset folder: the cache variable that its own `get_assets_path` fills and reads."""
    import_libero()._assets_path_cache = str(root)
