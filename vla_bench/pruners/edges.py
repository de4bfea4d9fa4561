"""Which patches of an image contain an edge: OpenCV's Canny detector; robosuite installs OpenCV."""

from __future__ import annotations

import math

import numpy as np

from vla_bench.errors import ModelError

LOW, HIGH = 100, 200  # gradient magnitudes between which an edge needs a stronger neighbour


def edge_patches(images: np.ndarray, patches: int) -> np.ndarray:
    """(cameras, S, S, 3) uint8 RGB -> (cameras, patches) bool, row-major.

    Raises ModelError without OpenCV, or where the images are not squares of whole patches.
    """
    try:
        import cv2
    except ImportError as error:
        raise ModelError(f"edges need OpenCV, which cannot be imported: {error}", "pip install opencv-python") from error
    side, size = math.isqrt(patches), images.shape[1]
    if side * side != patches or images.shape[1:] != (size, size, 3) or size % side:
        raise ModelError(f"images {images.shape} have no {patches} square patches each", "vla-bench models")
    edges = [cv2.Canny(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), LOW, HIGH) for image in np.ascontiguousarray(images)]
    blocks = np.stack(edges).reshape(len(edges), side, size // side, side, size // side)
    return blocks.any(axis=(2, 4)).reshape(len(edges), patches)
