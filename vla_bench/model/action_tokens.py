"""Actions as words: every number in [-1, 1] becomes one of the last ids of the vocabulary.

With the L1 head these ids only mark where the actions stand in a training sample; without it they are the model's output.
"""

from __future__ import annotations

import numpy as np

from vla_bench.errors import ModelError


def encode(actions: np.ndarray, actions_end: int = 32000, bins: int = 256) -> np.ndarray:
    """Normalised actions, any shape, clipped to [-1, 1] -> ids of the same shape, int64.

    Bin b of 1..bins has the id actions_end - b, so -1 is the last id of them all.
    """
    values = np.asarray(actions, np.float64)
    if not np.isfinite(values).all():
        raise ModelError("an action that is not finite has no token")
    return actions_end - np.digitize(np.clip(values, -1, 1), _edges(bins)).astype(np.int64)


def decode(ids: np.ndarray, actions_end: int = 32000, bins: int = 256) -> np.ndarray:
    """Ids, any shape -> the middle of their bins, float64.

    `bins` edges leave bins - 1 gaps between them: the one value beyond the last edge, 1.0 itself, shares the last gap,
    and an id that is no action gets the nearest gap, as in the reference.
    """
    edges = _edges(bins)
    middles = (edges[:-1] + edges[1:]) / 2
    return middles[np.clip(actions_end - np.asarray(ids, np.int64) - 1, 0, bins - 2)]


def _edges(bins: int) -> np.ndarray:
    return np.linspace(-1, 1, bins)
