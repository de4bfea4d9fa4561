"""Preparing camera images for the model: the reference's TensorFlow code, step by step, without TensorFlow.

The public checkpoints were trained on images that went through exactly these steps, and small deviations matter: a JPEG
decoder with another inverse DCT changes the average pixel by 1 of 255.  Against TensorFlow 2.15.1 the JPEG step and the
crop are bit exact, and the resize differs by 1 in less than 0.02 % of the values.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from vla_bench.errors import ModelError

JPEG_QUALITY = 95  # TensorFlow's default
CROP_AREA = 0.9  # training saw random crops of this area; evaluation takes the one in the middle
LOBES = 3  # Lanczos3
# Rows of the resize matrix multiplied at once: so few that BLAS starts no threads, which would fight the simulators' for cores.
BAND_ROWS = 8

Triple = tuple[float, float, float]


def upright(frame: np.ndarray) -> np.ndarray:
    """Turn a frame by 180 degrees.  The simulator renders upside down; a mere flip would mirror left and right for the model."""
    return _checked(frame)[::-1, ::-1]


def jpeg(image: np.ndarray) -> np.ndarray:
    """Through a JPEG file and back, uint8 in and out: training read its images from such files."""
    import simplejpeg
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(_checked(image))).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling="4:2:0")
    # TensorFlow decodes with the fast integer inverse DCT and smooth chroma; Pillow has no such option.
    return simplejpeg.decode_jpeg(buffer.getvalue(), fastdct=True, fastupsample=False)


def lanczos3(image: np.ndarray, size: int) -> np.ndarray:
    """Resize (H, W, 3) uint8 to (size, size, 3) uint8 with an antialiasing Lanczos3 filter.

    Sums are float64: in float32 which way a value rounds would depend on the order in which a machine adds.
    """
    height, width, channels = _checked(image).shape
    if size < 1:
        raise ModelError(f"an image cannot be resized to {size} pixels")
    if (height, width) == (size, size):
        return image.copy()
    tall = np.empty((size, width, channels))
    for rows, values in _resized_rows(image, size):
        tall[rows] = values
    turned = np.empty((size, size, channels), np.uint8)
    for rows, values in _resized_rows(tall.swapaxes(0, 1), size):
        turned[rows] = np.clip(np.rint(values), 0, 255)  # rint: halves go to the even neighbour
    return np.ascontiguousarray(turned.swapaxes(0, 1))


def centre_crop(image: np.ndarray, area: float = CROP_AREA) -> np.ndarray:
    """The middle `area` of a (H, W, 3) uint8 image, stretched back to its size by bilinear interpolation.

    Float32 and in the reference's order of operations (`crop_and_resize`, then `convert_image_dtype`), to the last bit.
    """
    height, width, _ = _checked(image).shape
    if not 0 < area <= 1:
        raise ModelError(f"a crop keeps a part of the image above 0 and up to 1, not {area}")
    left, right, weight = _crop_samples(width, area)
    values = image.astype(np.float32) * np.float32(1 / 255)
    values = _between(values.take(left, axis=1), values.take(right, axis=1), weight[:, None])
    top, bottom, weight = _crop_samples(height, area)
    values = _between(values.take(top, axis=0), values.take(bottom, axis=0), weight[:, None, None])
    # The reference scales by 255.5 and truncates.  It clips before; between two values of [0, 1] there is nothing to clip.
    return (values * np.float32(255.5)).astype(np.uint8)


def prepare(frame: np.ndarray, size: int, crop: bool = True) -> np.ndarray:
    """A camera frame (H, W, 3) uint8 as the simulator renders it, upside down -> the model's image, (size, size, 3) uint8."""
    image = lanczos3(jpeg(upright(frame)), size)
    return centre_crop(image) if crop else image


@dataclass(frozen=True)
class Normalisation:
    """Mean and standard deviation per colour, of pixels in [0, 1], for both vision branches: DINOv2, SigLIP.

    The defaults are ImageNet's numbers rounded to bfloat16, as the public checkpoints have them.
    """

    means: tuple[Triple, Triple] = ((0.484375, 0.455078125, 0.40625), (0.5, 0.5, 0.5))
    stds: tuple[Triple, Triple] = ((0.228515625, 0.2236328125, 0.224609375), (0.5, 0.5, 0.5))


def pixel_values(images: np.ndarray, normalisation: Normalisation) -> np.ndarray:
    """The cameras of one sample, (n, S, S, 3) uint8 -> (6n, S, S) float32: per camera three DINOv2 channels, three of SigLIP."""
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
        raise ModelError(f"expected square images (n, S, S, 3) of uint8, not {images.shape} of {images.dtype}")
    size = images.shape[1]
    means, stds = (np.array(table, np.float32)[:, :, None, None] for table in (normalisation.means, normalisation.stds))
    # Channels first while still bytes, then in place: 20 times faster than one expression over strided floats.
    pixels = np.ascontiguousarray(images.transpose(0, 3, 1, 2))[:, None].astype(np.float32)  # (n, 1, 3, S, S)
    pixels /= np.float32(255)
    branches = pixels - means  # (n, 2, 3, S, S)
    branches /= stds
    return branches.reshape(-1, size, size)


def _checked(image: np.ndarray) -> np.ndarray:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        given = f"{image.shape} of {image.dtype}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ModelError(f"expected an image (H, W, 3) of uint8, not {given}")
    return image


def _resized_rows(values: np.ndarray, size: int) -> Iterator[tuple[slice, np.ndarray]]:
    """(n, m, 3) resized to (size, m, 3), float64, a few rows at a time: large temporary arrays cost more than the arithmetic."""
    n, *row = values.shape
    for rows, columns, block in _resize_band(n, size):
        piece = np.ascontiguousarray(values[columns], np.float64).reshape(block.shape[1], -1)
        yield rows, (block @ piece).reshape(-1, *row)


@lru_cache(maxsize=16)
def _resize_band(n: int, size: int) -> tuple[tuple[slice, slice, np.ndarray], ...]:
    """The (size, n) matrix of Lanczos weights, cut into blocks: all but a narrow band of it is zero."""
    scale = max(n / size, 1)  # above 1 the filter widens, which keeps a smaller image free of aliases
    centres = (np.arange(size) + 0.5) * n / size  # a pixel's position is its middle
    distance = (np.arange(n) + 0.5 - centres[:, None]) / scale
    weights = np.where(np.abs(distance) < LOBES, np.sinc(distance) * np.sinc(distance / LOBES), 0)
    weights /= weights.sum(axis=1, keepdims=True)
    band = []
    for start in range(0, size, BAND_ROWS):
        block = weights[start : start + BAND_ROWS]
        used = np.flatnonzero(block.any(axis=0))
        columns = slice(int(used[0]), int(used[-1]) + 1)
        band.append((slice(start, start + len(block)), columns, np.ascontiguousarray(block[:, columns])))
    return tuple(band)


@lru_cache(maxsize=16)
def _crop_samples(n: int, area: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where n pixels of the crop lie among n pixels of the image: neighbour before, neighbour after, weight of the latter."""
    one, side, last = np.float32(1), np.sqrt(np.float32(area)), np.float32(n - 1)
    offset = (one - side) / np.float32(2)
    step = ((offset + side) - offset) * last / max(last, one)  # not `side`: the box is given by its two edges
    positions = offset * last + np.arange(n, dtype=np.float32) * step
    before = np.floor(positions)
    return before.astype(np.intp), np.ceil(positions).astype(np.intp), positions - before


def _between(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """a + (b - a) * weight; overwrites both."""
    b -= a
    b *= weight
    a += b
    return a
