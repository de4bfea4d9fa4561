"""In which numbers a training's forward pass computes.  The weights that it changes keep their own."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from vla_bench.values import Value

if TYPE_CHECKING:
    import torch


class Precision(Value):
    """AUTO: bfloat16 on CUDA, as the reference, and float32 elsewhere.  On a CPU with instructions for it bfloat16 pays, too."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"

    def on(self, device: torch.device) -> AbstractContextManager[None]:
        """Forward passes inside compute so."""
        if self is Precision.FLOAT32 or (self is Precision.AUTO and device.type != "cuda"):
            return nullcontext()
        from vla_bench.training.autocast import bfloat16

        return bfloat16(device)
