"""What a client's picture becomes: a frame as the simulator renders it, of the size that the model was trained with."""

from __future__ import annotations

import numpy as np

from vla_bench.errors import WireError
from vla_bench.model.images import upright
from vla_bench.serve.limits import LARGEST, SMALLEST


def frame(picture: object, name: str, size: int | None) -> np.ndarray:
    """(size, size, 3) uint8, upside down as rendered, from a client's upright picture (S, S, 3) uint8.  Raises WireError.

    One of the right size keeps every pixel.  size: None for the picture's own.
    """
    if not isinstance(picture, np.ndarray):
        raise WireError(f"{name} is {type(picture).__name__}, not a picture")
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or picture.shape[0] != picture.shape[1]:
        raise WireError(f"{name} is {picture.dtype} of shape {picture.shape}, not uint8 (S, S, 3)")
    if not SMALLEST <= len(picture) <= LARGEST:
        raise WireError(f"{name} has {len(picture)} pixels a side: there may be {SMALLEST} to {LARGEST}")
    return upright(picture if size in (None, len(picture)) else resized(picture, size))


def resized(picture: np.ndarray, size: int) -> np.ndarray:
    """By the mean of whole blocks of pixels where the sizes allow it, which is how a smaller rendering would look; else bilinear
    over all pixels that a new one covers."""
    from PIL import Image

    how = Image.Resampling.BOX if len(picture) % size == 0 else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(picture).resize((size, size), how))
