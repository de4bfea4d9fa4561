"""The rules of VLA-Cache as functions: which patches stand still, which of them matter, how many each layer may reuse.

Images are compared with numpy in float32: row sums of numpy have one order of adding on every processor, and patches that
hardly differ are ranked by their last bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

GRID = 256  # patches of an image that the published numbers of patches are meant for
DEPTH = 32  # layers that the published layers are meant for
GROWTH = 0.55  # factor on a rise of the share from one layer to the next


def scaled(number: int, patches: int) -> int:
    """A number of 256 patches as one of `patches`; halves go to the even number."""
    return round(number * patches / GRID)


def scaled_layers(layers: Sequence[int], depth: int) -> tuple[int, ...]:
    """Layers of 32 as layers of `depth`, distinct, ascending and behind layer 0; unchanged where they exist anyway."""
    if max(layers) < depth:
        return tuple(layers)
    placed: list[int] = []
    for layer in layers:
        placed.append(max(round(layer * depth / DEPTH), placed[-1] + 1 if placed else 1))
    return tuple(placed)


def similarity(current: np.ndarray, previous: np.ndarray, patches: int) -> np.ndarray:
    """Cosine between the raw pixels of every patch and its predecessor: images (S, S, 3) uint8 -> (patches,) float32."""
    now, before = _pixels(current, patches), _pixels(previous, patches)
    norms = np.sqrt((now * now).sum(axis=1)) * np.sqrt((before * before).sum(axis=1))
    return (now * before).sum(axis=1) / (norms + np.float32(1e-8))


def static(similar: np.ndarray, k: int, threshold: float) -> np.ndarray:
    """At most k patches (n,) that are at least `threshold` similar, the most similar first, ties to the smaller index."""
    order = np.argsort(-similar, kind="stable")
    return order[similar[order] >= np.float32(threshold)][:k]


def without_task(static: np.ndarray, scores: np.ndarray, k: int) -> np.ndarray:
    """Those of `static`, in their order, that are not among the k patches with the most attention in `scores` (patches,)."""
    attended = np.argsort(-scores, kind="stable")[:k]
    return static[~np.isin(static, attended)]


def queue(reusable: Sequence[np.ndarray], patches: int, order: Literal["sim", "raster"]) -> np.ndarray:
    """One list of image tokens in which they leave, from one list of patches a camera, the most similar first.

    sim: every camera's first, every camera's second, ...
    raster: by position, as released, so that small shares fall on the first camera's top rows.
    """
    ids = np.concatenate([camera * patches + own for camera, own in enumerate(reusable)])
    if order == "raster":
        return np.sort(ids)
    rank = np.concatenate([np.arange(len(own)) for own in reusable])
    return ids[np.lexsort((ids, rank))]


def entropy(weights: Tensor) -> Tensor:
    """Of one layer's attention (heads, rows, columns): mean over rows of the head mean's entropy, in nats."""
    mean = weights.mean(dim=0)
    return torch.special.entr(mean / mean.sum(dim=-1, keepdim=True)).sum(dim=-1).mean()


def shares(entropies: Sequence[float], growth: float = GROWTH) -> list[float]:
    """Per layer, the share of the reusable tokens that is not computed: 1 where attention is sharpest, 0 where it is flattest.

    growth: a rise over the layer before, itself damped, counts by this much; 1 for no damping.
    """
    lowest, spread = min(entropies), max(entropies) - min(entropies)
    raw = [1 - (e - lowest) / spread if spread else 1.0 for e in entropies]
    damped = raw[:1]
    for share in raw[1:]:
        damped.append(damped[-1] + growth * (share - damped[-1]) if share > damped[-1] else share)
    return damped


def quota(share: float, reusable: int) -> int:
    """How many of the reusable tokens leave in all: at least one if there is any."""
    return min(reusable, max(1, math.floor(share * reusable)))


def _pixels(image: np.ndarray, patches: int) -> np.ndarray:
    """(S, S, 3) -> (patches, pixels * 3) float32, row-major."""
    grid = math.isqrt(patches)
    side = image.shape[0] // grid
    blocks = image.reshape(grid, side, grid, side, 3).transpose(0, 2, 1, 3, 4)
    return blocks.reshape(patches, -1).astype(np.float32)
