"""LIBERO's official start states: 50 flattened MuJoCo states per task.

The files are torch archives around a pickled array.  A pickle can run code, so this reader accepts only
the constructors of a numeric array; torch is not needed.  LIBERO-PRO's are `.npz` files without a pickle.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from functools import cache
from pathlib import Path

import numpy as np

from vla_bench.arrays import NOT_A_ZIP, read_arrays
from vla_bench.documents import SMALL, read_bytes
from vla_bench.errors import WorldError
from vla_bench.suites import Suite
from vla_bench.world.libero import REINSTALL, init_states_file
from vla_bench.world.libero_pro import GET

# What a changed archive, or a changed pickle, raises while it is read.
DAMAGED = (*NOT_A_ZIP, StopIteration, ValueError, TypeError, AttributeError, IndexError, MemoryError)


def _latin1(text: str, encoding: str) -> bytes:
    """Python 2 style bytes inside a pickle; any other codec is refused."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"codec {encoding!r} is not allowed")
    return text.encode("latin1")


class _ArrayUnpickler(pickle.Unpickler):
    _reconstruct = np.ndarray(0).__reduce__()[0]
    _allowed = {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin1,
    }

    def find_class(self, module: str, name: str):
        try:
            return self._allowed[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not part of a numeric array") from None


def read_init_states(path: Path) -> np.ndarray:
    """The states in `path`: float64, one row per init state (time, qpos, qvel).  Raises WorldError."""
    states = _read_npz(path) if path.suffix == ".npz" else _read_archive(path)
    if not isinstance(states, np.ndarray) or states.dtype != np.float64 or states.ndim != 2 or not np.isfinite(states).all():
        raise WorldError(f"init states are not a finite float64 table: {path}", REINSTALL if path.suffix != ".npz" else GET)
    return states


def _read_npz(path: Path) -> np.ndarray:
    try:
        return read_arrays(path, ["states"], SMALL)["states"]
    except OSError as error:
        raise WorldError(f"cannot read init states {path}: {error.strerror}", GET) from error
    except ValueError as error:
        raise WorldError(f"init states are damaged: {path}: {error}", GET) from error


def _read_archive(path: Path) -> np.ndarray:
    try:
        data = read_bytes(path, SMALL)
    except FileNotFoundError as error:
        raise WorldError(f"no init states at {path}", REINSTALL) from error
    except OSError as error:
        raise WorldError(f"cannot read init states {path}: {error.strerror}", REINSTALL) from error
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            member = next(info for info in archive.infolist() if info.filename.endswith("/data.pkl"))
            if member.file_size > SMALL:
                raise ValueError(f"{member.filename} unpacks to {member.file_size:,} bytes")
            return _ArrayUnpickler(io.BytesIO(archive.read(member))).load()
    except pickle.UnpicklingError as error:
        raise WorldError(f"init states refused: {path}: {error}", REINSTALL) from error
    except DAMAGED as error:
        raise WorldError(f"init states are damaged: {path}: {error or type(error).__name__}", REINSTALL) from error


@cache
def init_states_hash(suite: Suite) -> str:
    """SHA-256 over the init-state files of all tasks of a suite, whichever of them run: part of its protocol.

    A task without a file is hashed as such.  Raises WorldError for a file that cannot be read.
    """
    digest = hashlib.sha256()
    for task in suite.tasks:
        path = init_states_file(suite, task)
        try:
            own = hashlib.sha256(read_bytes(path, SMALL)).hexdigest() if path.exists() else "missing"
        except OSError as error:
            raise WorldError(f"cannot read init states {path}: {error.strerror}", REINSTALL) from error
        digest.update(f"{own}  {task.name}\n".encode())
    return digest.hexdigest()
