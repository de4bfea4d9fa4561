"""The textures of the pack: quiet floors, walls and wood, small and square, painted by arithmetic.

LIBERO's arenas choose the floor and the wall by file name, so every name of its style table is here.  Only integers
are used and the PNG stream is stored, not compressed, so that the bytes are the same on every machine.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np

SIDE = 64

Rgb = tuple[int, int, int]
Shade = Callable[[np.ndarray, np.ndarray], np.ndarray]  # columns, rows -> how much lighter than the base colour


def images() -> dict[str, bytes]:
    """Path in the pack -> PNG bytes."""
    return {f"textures/{name}.png": png(*texture) for name, texture in TEXTURES.items()}


def png(base: Rgb, shade: Shade, side: int = SIDE) -> bytes:
    """An RGB image of `side` x `side` pixels: `base` made lighter or darker by `shade`."""
    y, x = np.indices((side, side))
    pixels = np.clip(np.array(base) + shade(x, y)[:, :, None], 0, 255).astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)  # each row begins with PNG's filter: none
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", _stored(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _stored(data: bytes) -> bytes:
    """A zlib stream of stored blocks, written by hand: zlib builds differ in how they cut even level 0."""

    def blocks() -> Iterator[bytes]:
        for start in range(0, len(data), 65535):
            block = data[start : start + 65535]
            last = start + 65535 >= len(data)
            yield struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF) + block

    return b"\x78\x01" + b"".join(blocks()) + struct.pack(">I", zlib.adler32(data))


def _noise(x: np.ndarray, y: np.ndarray | int, seed: np.ndarray | int) -> np.ndarray:
    """A repeatable value from -128 to 127 for each cell."""
    h = (x * 374761393 + y * 668265263 + seed * 2246822519) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFF) - 128


def _soft(position: np.ndarray, seed: np.ndarray | int, pitch: int) -> np.ndarray:
    """Noise along a line that changes smoothly from one multiple of `pitch` to the next."""
    cell, rest = position // pitch, position % pitch
    return (_noise(cell, 0, seed) * (pitch - rest) + _noise(cell + 1, 0, seed) * rest) // pitch


def plaster(strength: int) -> Shade:
    """Faint speckle, nearly flat."""
    return lambda x, y: _noise(x, y, 1) * strength // 128


def weave(strength: int) -> Shade:
    """Thin upright threads."""
    return lambda x, y: (_soft(x, 7, 2) * strength + _noise(x, y, 2)) // 128


def grain(strength: int, seed: int) -> Shade:
    """Wood in one piece: streaks along the rows, of three widths, slightly wavering, the thin ones fading in and out."""

    def shade(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        y = y * 2 + _soft(x, seed + 3, 32) // 24
        broad, narrow, fine = _soft(y, seed, 32), _soft(y, seed + 1, 8), _soft(y, seed + 2, 3)
        fine = fine * (160 + _soft(x + y * 29, seed + 4, 64)) // 160
        return (broad + narrow + fine) * strength // 384

    return shade


def across(shade: Shade) -> Shade:
    """The same texture with its streaks along the columns."""
    return lambda x, y: shade(y, x)


def planks(rows: int, strength: int, joint: int, seed: int) -> Shade:
    """Boards along the rows with a joint lighter (or darker) by `joint` between them, each board its own tone."""

    def shade(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        side = len(x)
        height = side // rows
        board, line = y // height, y % height
        tone = _noise(board, 9, seed) + _soft(y * 5 + x // 16, seed + board, 2) + _noise(x // 6, y, seed) // 2
        return np.where((line == 0) | (x == (_noise(board, 5, seed) + 128) % side), joint, tone * strength // 256)

    return shade


def tiles(count: int, strength: int, joint: int, seed: int) -> Shade:
    """Square tiles with a thin joint, each tile its own tone."""

    def shade(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        tile = len(x) // count
        tone = _noise(x // tile, y // tile, seed) + _noise(x, y, seed) // 3
        return np.where((x % tile == 0) | (y % tile == 0), joint, tone * strength // 256)

    return shade


GRAY_PLANKS = ((141, 128, 115), planks(4, 34, 95, 13), 128)

TEXTURES: dict[str, tuple[Rgb, Shade] | tuple[Rgb, Shade, int]] = {
    # Floors and walls under the names of LIBERO's style table.
    "dark_floor_texture": ((58, 53, 47), planks(8, 10, -10, 11)),
    "rustic_floor": ((162, 162, 157), planks(8, 26, -24, 12)),
    "light-gray-floor-tile": GRAY_PLANKS,
    "white_marble_floor": ((233, 233, 233), plaster(5)),
    "seamless_wood_planks_floor": ((233, 200, 137), planks(16, 22, -12, 14)),
    "brown_ceramic_tile": ((177, 152, 131), tiles(2, 12, 24, 15)),
    "gray_ceramic_tile": ((186, 171, 155), tiles(3, 16, 16, 16)),
    "tile_grigia_caldera_porcelain_floor": GRAY_PLANKS,
    "light_blue_wall": ((186, 226, 244), plaster(3)),
    "dark_blue_wall": ((102, 145, 171), plaster(6)),
    "dark_gray_plaster": ((97, 106, 113), plaster(6)),
    "gray_plaster": ((236, 238, 235), plaster(5)),
    "dark_green_plaster_wall": ((70, 92, 76), plaster(6)),
    "light-gray-plaster": ((222, 219, 212), plaster(3)),
    "ceramic": ((249, 248, 244), plaster(2)),
    "white_wall": ((234, 236, 233), plaster(2)),
    "yellow_linen_wall_texture": ((220, 213, 180), weave(9)),
    # Furniture of this pack's own arenas, seen closely by the wrist camera.
    "wood_table": ((199, 181, 162), grain(18, 21), 128),
    "wood_desk": ((150, 102, 52), across(grain(30, 31)), 128),
    "wood_walnut": ((80, 52, 40), grain(22, 41), 128),
    "backsplash": ((214, 210, 196), tiles(4, 10, 22, 51)),
}
