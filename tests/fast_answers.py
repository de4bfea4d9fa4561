"""What a fast path must answer: for the tests of the model's speeds."""

from __future__ import annotations

import torch

from vla_bench.model.vla import Output

from .nanos import kept

SWITCHES = ("cameras", "rows", "fused", "buckets")
EVERYTHING = ",".join(SWITCHES)
QUERIES = (0, 4, 7)  # of 8, with 5, 11 and 19 tokens of prompt
CLOSE = {"atol": 2e-5, "rtol": 0}


def same(found: Output, plain: Output) -> None:
    """The same tokens kept, the same actions up to rounding."""
    torch.testing.assert_close(found.actions, plain.actions, **CLOSE)
    torch.testing.assert_close(found.slots, plain.slots, **CLOSE)
    for i in range(len(plain.actions)):
        assert kept(found, i) == kept(plain, i)
    assert found.kept_per_camera() == plain.kept_per_camera()
