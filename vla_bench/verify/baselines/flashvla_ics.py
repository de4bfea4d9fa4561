"""`baselines_flashvla_ics.npz`: TokenCarve's score of image tokens, which FlashVLA uses."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

from vla_bench.pruners.flashvla import contributions
from vla_bench.verify.compare import Computed, Tolerance
from vla_bench.verify.fixture import Fixture

# The file's own values come from an SVD in float32; ours, in float64, differ by its rounding, up to 2e-6 and more on larger sets.
FLOAT32_SVD = Tolerance(1e-5, floor=1.0)


def computed(given: Fixture) -> Iterator[Computed]:
    """Input: x (n, D) of every case."""
    for name in given.names():
        if re.fullmatch(r"ics/case\d+/x", name):
            case, x = name.removesuffix("x"), torch.from_numpy(given[name])
            scores, sigma = contributions(x.unsqueeze(0))
            yield Computed(f"{case}score", scores[0], FLOAT32_SVD, "ics/case*/score")
            yield Computed(f"{case}singular_values", sigma[0, : min(x.shape)], FLOAT32_SVD, "ics/case*/singular_values")
