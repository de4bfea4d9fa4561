"""`baselines_spvla.npz`: SP-VLA's choice of tokens and its extrapolation, from a transcription of its description."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import torch

from vla_bench.pruners.edges import edge_patches
from vla_bench.pruners.spvla import most_attended, threshold
from vla_bench.pruners.spvla_scheduler import extrapolate
from vla_bench.verify.compare import EXACT, Computed, Tolerance
from vla_bench.verify.fixture import Fixture

VALUES = Tolerance(2e-6, floor=1.0)


def computed(given: Fixture) -> Iterator[Computed]:
    """Inputs of prune/caseI: image, attn_score, z_zthre_zmin, and its own edge_tokens; of ridge/caseI: history."""
    for name in given.names():
        if match := re.fullmatch(r"(prune/case\d+/)image", name):
            yield from _choice(given, match[1])
        elif match := re.fullmatch(r"(ridge/case\d+/)history", name):
            yield _answer(match[1] + "next", extrapolate(given[name]), VALUES)


def _choice(given: Fixture, case: str) -> Iterator[Computed]:
    attention = torch.from_numpy(given[case + "attn_score"])
    share = threshold(*map(float, given[case + "z_zthre_zmin"]))
    chosen = most_attended(attention.unsqueeze(0), torch.tensor([share], dtype=torch.float64))[0].numpy()
    yield _answer(case + "threshold", share, VALUES)
    yield _answer(case + "n_attn_tokens", chosen.sum(), EXACT)
    # The union is made with the file's edges, so that another OpenCV's edges miss in one place only.
    edges = edge_patches(given[case + "image"][None], len(attention))[0]
    yield _answer(case + "edge_tokens", np.flatnonzero(edges), EXACT)
    yield _answer(case + "kept", np.union1d(np.flatnonzero(chosen), given[case + "edge_tokens"]), EXACT)


def _answer(tensor: str, value: object, tolerance: Tolerance) -> Computed:
    part, _, quantity = tensor.split("/")
    return Computed(tensor, value, tolerance, f"{part}/case*/{quantity} (transcription)")
