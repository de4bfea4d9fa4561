"""A picture as the model saw it, with what became of its patches: pruned ones dimmed, merged ones outlined.

Dimmed is dark and grey, so that it differs in lightness, which everyone sees alike, and not in hue.
"""

from __future__ import annotations

import numpy as np

from vla_bench.overlay.recording import CameraPatches

DIM = 0.38  # lightness that a pruned patch keeps
MERGED = (240, 228, 66)  # yellow of the colours of Okabe and Ito
EDGE = (255, 255, 255)
LUMA = np.array([0.299, 0.587, 0.114])


def enlarged(picture: np.ndarray, size: int) -> np.ndarray:
    """(S, S, 3) uint8 to (size, size, 3) uint8."""
    from PIL import Image

    return np.asarray(Image.fromarray(np.ascontiguousarray(picture)).resize((size, size), Image.Resampling.BICUBIC))


def overlaid(picture: np.ndarray, patches: CameraPatches, size: int) -> np.ndarray:
    """The picture (S, S, 3) uint8 in `size` pixels: pruned patches dimmed, kept ones edged, places of merged tokens outlined."""
    shown = enlarged(picture, size).copy()
    patch, within = _places(size, len(patches.kept))
    kept, merged = (grid[patch[:, None], patch] for grid in (patches.kept, patches.merged))
    gone = ~(kept | merged)
    shown[gone] = (DIM * (shown[gone] @ LUMA))[:, None].astype(np.uint8)
    shown[_rim(kept) & kept] = EDGE
    border = (within[0] < 2) | (within[1] < 2)
    shown[merged & (border[:, None] | border)] = MERGED
    return shown


def _places(size: int, side: int) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Of each of `size` pixels in a row: its patch of `side`, and its distances from that patch's two ends."""
    pixels = np.arange(size)
    patch = pixels * side // size
    first = -(-patch * size // side)
    return patch, (pixels - first, -(-(patch + 1) * size // side) - 1 - pixels)


def _rim(mask: np.ndarray) -> np.ndarray:
    """Pixels beside one on the other side of the mask's edge."""
    rim = np.zeros_like(mask)
    rows, columns = mask[1:] != mask[:-1], mask[:, 1:] != mask[:, :-1]
    rim[1:] |= rows
    rim[:-1] |= rows
    rim[:, 1:] |= columns
    rim[:, :-1] |= columns
    return rim
