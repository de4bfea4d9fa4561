"""Which patches of a picture hold an edge: Canny's detector of OpenCV, which robosuite brings."""

from __future__ import annotations

import math

import numpy as np

from vla_bench.errors import ModelError

LOW, HIGH = 100, 200  # gradient magnitudes between which an edge needs a stronger neighbour


def edge_patches(pictures: np.ndarray, patches: int) -> np.ndarray:
    """(cameras, S, S, 3) uint8 RGB -> (cameras, patches) bool, row-major.

    Raises ModelError without OpenCV, or where the pictures are no squares of whole patches.
    """
    try:
        import cv2
    except ImportError as error:
        raise ModelError(f"edges are found by OpenCV, which cannot be imported: {error}", "pip install opencv-python") from error
    side, size = math.isqrt(patches), pictures.shape[1]
    if side * side != patches or pictures.shape[1:] != (size, size, 3) or size % side:
        raise ModelError(f"pictures {pictures.shape} have no {patches} square patches each", "vla-bench models")
    found = [cv2.Canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), LOW, HIGH) for picture in np.ascontiguousarray(pictures)]
    blocks = np.stack(found).reshape(len(found), side, size // side, side, size // side)
    return blocks.any(axis=(2, 4)).reshape(len(found), patches)
