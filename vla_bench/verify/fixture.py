"""One file of golden tensors that records which of them were read, so that unchecked ones are reported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Union

import numpy as np
from torch import Tensor

from vla_bench.arrays import read_arrays
from vla_bench.documents import check_regular
from vla_bench.errors import VlaBenchError

Array = Union[Tensor, np.ndarray]


class FixtureError(VlaBenchError):
    """A golden file that is damaged, or that lacks `tensor`."""

    def __init__(self, message: str, tensor: str = "file"):
        super().__init__(message)
        self.tensor = tensor


class Fixture:
    """Tensors by name.  `fixture[name]` raises FixtureError where there is no such tensor."""

    def __init__(self, tensors: Mapping[str, Array]):
        self._tensors = dict(tensors)
        self._read: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def __getitem__(self, name: str) -> Array:
        if name not in self._tensors:
            raise FixtureError(f"{name} is not in the file", name)
        self._read.add(name)
        return self._tensors[name]

    def get(self, name: str, otherwise: Array) -> Array:
        """A tensor that is an input and an expected value at once; `otherwise` where the file lacks it."""
        return self[name] if name in self._tensors else otherwise

    def shape(self, *names: str) -> tuple[int, ...] | None:
        """Shape of the first of these tensors that the file has, or None; does not count as reading the values."""
        return next((tuple(self._tensors[name].shape) for name in names if name in self._tensors), None)

    def names(self, prefix: str = "") -> list[str]:
        """Names with this prefix, in alphabetical order."""
        return sorted(name for name in self._tensors if name.startswith(prefix))

    def unread(self) -> list[str]:
        """Names of tensors that were never read."""
        return [name for name in self.names() if name not in self._read]


def read(path: Path) -> Fixture:
    """The tensors of a .safetensors (as torch) or .npz file (as numpy); raises FixtureError."""
    return Fixture(_safetensors(path) if path.suffix == ".safetensors" else _npz(path))


def _safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        check_regular(path)
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise FixtureError(f"cannot be read: {error}") from error


def _npz(path: Path) -> dict[str, np.ndarray]:
    try:
        return read_arrays(path)
    except (OSError, ValueError) as error:
        raise FixtureError(f"cannot be read: {error}") from error
