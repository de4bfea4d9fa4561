"""In which numbers a training's forward pass computes.  The weights that it changes keep their own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


class Precision(str, Enum):
    """AUTO: bfloat16 on CUDA, as the reference, and float32 elsewhere.  On a CPU with instructions for it bfloat16 pays, too."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    @contextmanager
    def on(self, device: torch.device) -> Iterator[None]:
        """Forward passes inside compute so."""
        cuda = device.type == "cuda"
        if self is Precision.FLOAT32 or (self is Precision.AUTO and not cuda):
            yield
        elif cuda:
            with torch.autocast("cuda", torch.bfloat16):
                yield
        else:
            with torch.autocast("cpu", torch.bfloat16), _Float32Attention():
                yield


class _Float32Attention(TorchFunctionMode):
    """Fused attention in float32: in bfloat16 its backward pass takes four times as long on a CPU."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            return func(*(each.float() for each in args), **kwargs)
