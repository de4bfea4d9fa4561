"""Forward passes in bfloat16."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode


@contextmanager
def bfloat16(device: torch.device) -> Iterator[None]:
    """Forward passes inside compute in bfloat16, whatever the dtype of their weights."""
    if device.type == "cuda":
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
