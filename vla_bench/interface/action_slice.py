"""Where the action head reads the decoder's output."""

from __future__ import annotations

from vla_bench.values import Value


class ActionSlice(Value):
    """Which 56 hidden states the action head reads.

    REFERENCE: slots 1 to 55 and the stop token, two places to the right; what LightVLA's published evaluation reads.
    ALIGNED: the prompt's last token and the first 55 slots; what every model is trained with, and OpenVLA-OFT evaluated.
    """

    REFERENCE = "reference"
    ALIGNED = "aligned"

    @property
    def first(self) -> int:
        """Its first row, counted from the first slot."""
        return -1 if self is ActionSlice.ALIGNED else 1
