"""Posters of films as small JPEGs for the page."""

from __future__ import annotations

import io
from pathlib import Path

WIDTH = 320  # pixels: both cameras side by side
LARGEST = 4096  # pixels of a side: a poster of ours has 512 x 256
QUALITY = 65


def thumbnail(path: Path) -> bytes | None:
    """A JPEG of the poster; None where there is none, or none that can be read."""
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as file:
            if max(file.size) > LARGEST:
                return None
            picture = file.convert("RGB")
            picture.thumbnail((WIDTH, WIDTH))
            data = io.BytesIO()
            picture.save(data, "JPEG", quality=QUALITY, optimize=True)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # SyntaxError: Pillow's for a broken PNG
        return None
    return data.getvalue()
