"""Files of torch's own format: pickles, of which nothing but tensors and plain values is ever built."""

from __future__ import annotations

import pickle
import struct
import zipfile
from pathlib import Path

import torch
from torch import Tensor, nn

from vla_bench.documents import check_regular
from vla_bench.errors import CheckpointError

PLAIN = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# What torch raises for files that are cut off, changed, or no pickle at all; the numbers of a damaged pickle lead anywhere.
DAMAGED = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    OverflowError,
    AssertionError,
    MemoryError,
    ImportError,
    struct.error,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)


def read_pickled(path: Path, fix: str) -> object:
    """The content of a `.pt` file.  Raises CheckpointError, which advises `fix`."""
    try:
        check_regular(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except DAMAGED as error:
        first = str(error).strip().splitlines()[:1]
        raise CheckpointError(f"{path} is not a file of tensors: {first[0] if first else type(error).__name__}", fix) from error


def is_plain(value: object) -> bool:
    """Whether it is a dense tensor of real numbers, with its values: not sparse, quantised, complex or on the meta device."""
    if not isinstance(value, Tensor) or value.layout is not torch.strided or value.is_quantized:
        return False
    return value.device.type == "cpu" and value.dtype in PLAIN and type(value) in (Tensor, nn.Parameter)
