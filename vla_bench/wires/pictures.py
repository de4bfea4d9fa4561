"""Pictures in a frame: PNG and JPEG of bounded size, decoded by Pillow."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np

LARGEST_SIDE = 2048  # pixels
FORMATS = {"png": "PNG", "jpeg": "JPEG"}
CHANNELS = {"L": 1, "RGB": 3, "RGBA": 4}


def decode_picture(data: object, form: object, shape: tuple[int, ...]) -> np.ndarray:
    """(H, W, channels) uint8 from a picture of the format `form`: png or jpeg.  Raises ValueError.

    shape: what the frame says of it: (H, W, channels), or (H, W) for grey; it is compared before anything is decoded.
    """
    from PIL import Image

    if not isinstance(form, str) or form not in FORMATS:
        raise ValueError(f"a picture of the format {str(form)!r:.40}: there are raw, {', '.join(FORMATS)}")
    if not isinstance(data, bytes):
        raise ValueError(f"a picture in {type(data).__name__}, not in bytes")
    try:
        picture = Image.open(io.BytesIO(data), formats=[FORMATS[form]])
        channels, (width, height) = CHANNELS.get(picture.mode), picture.size
        if channels is None or max(width, height) > LARGEST_SIDE:
            raise ValueError(f"a picture of {width} x {height} pixels in mode {picture.mode}: at most {LARGEST_SIDE} in RGB")
        if shape not in ((height, width, channels), (height, width) if channels == 1 else None):
            raise ValueError(f"a picture of {height} x {width} x {channels}, and the frame says {shape}")
        return np.array(picture).reshape(height, width, channels)
    except (OSError, SyntaxError, EOFError, struct.error, zlib.error, IndexError, Image.DecompressionBombError) as error:
        raise ValueError(f"a {form} that cannot be decoded: {error or type(error).__name__}") from None
