"""LIBERO's official start states: 50 flattened MuJoCo states per task.

The files are torch archives around a pickled array.  A pickle can run code, so this reader accepts only
the constructors of a numeric array; torch is not needed.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np

from vla_bench.errors import WorldError
from vla_bench.world.libero import REINSTALL


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
    try:
        with zipfile.ZipFile(path) as archive:
            member = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
            states = _ArrayUnpickler(io.BytesIO(archive.read(member))).load()
    except FileNotFoundError as error:
        raise WorldError(f"no init states at {path}", REINSTALL) from error
    except pickle.UnpicklingError as error:
        raise WorldError(f"init states refused: {path}: {error}", REINSTALL) from error
    except (zipfile.BadZipFile, StopIteration, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise WorldError(f"init states are damaged: {path}: {error or type(error).__name__}", REINSTALL) from error
    if not isinstance(states, np.ndarray) or states.dtype != np.float64 or states.ndim != 2 or not np.isfinite(states).all():
        raise WorldError(f"init states are not a finite float64 table: {path}", REINSTALL)
    return states
