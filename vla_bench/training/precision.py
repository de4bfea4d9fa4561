"""Precision of a training's forward pass; trainable weights keep their own dtype."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from vla_bench.values import Value

if TYPE_CHECKING:
    import torch


class Precision(Value):
    """AUTO: bfloat16 on CUDA, as the reference, else float32.  On a CPU with bfloat16 instructions BFLOAT16 is faster, too."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    def on(self, device: torch.device) -> AbstractContextManager[None]:
        """Forward passes inside this context have the precision."""
        if self is Precision.FLOAT32 or (self is Precision.AUTO and device.type != "cuda"):
            return nullcontext()
        from vla_bench.training.autocast import bfloat16

        return bfloat16(device)
