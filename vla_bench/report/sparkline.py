"""A row of numbers as a row of characters, each as high as its number."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from statistics import fmean

UNICODE, ASCII = "▁▂▃▄▅▆▇█", "_.-=+*%#"
WIDTH = 72


def levels(encoding: str | None = None) -> str:
    """Those that standard output, or another encoding, can show."""
    try:
        UNICODE.encode(encoding or getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def sparkline(values: Sequence[float], top: float, drawn: str = UNICODE, width: int = WIDTH) -> str:
    """From 0 to `top`.  More values than `width` are drawn as means of neighbours, of as many each as needed."""
    each = -(-len(values) // width)
    means = [fmean(values[i : i + each]) for i in range(0, len(values), each)] if each else []
    return "".join(drawn[min(int(value / top * len(drawn)), len(drawn) - 1) if top > 0 else 0] for value in means)
