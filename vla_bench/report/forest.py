"""A forest plot in text: of each row a difference with its interval, around a line at zero."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vla_bench.stats import Difference

WIDTH = 80


@dataclass(frozen=True)
class Marks:
    """What a plot is drawn with.  cross: an interval over the zero line."""

    low: str
    high: str
    line: str
    value: str
    zero: str
    cross: str


UNICODE = Marks("├", "┤", "─", "●", "│", "┼")
ASCII = Marks("|", "|", "-", "o", ":", "+")


def marks(encoding: str | None = None) -> Marks:
    """Those that standard output, or another encoding, can show."""
    try:
        "".join(vars(UNICODE).values()).encode(encoding or getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


def points(gap: Difference) -> str:
    """In percentage points."""
    return f"{100 * gap.value:+.1f} [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]"


def forest(rows: Sequence[tuple[str, Difference | None]], drawn: Marks = UNICODE, width: int = WIDTH) -> list[str]:
    """One line a row: label, plot and numbers; below them the scale, in percentage points.  No line without a difference to draw.

    Labels that leave the plot less than a third of the width are cut.
    """
    known = [gap for _, gap in rows if gap is not None]
    if not known:
        return []
    numbers = ["-" if gap is None else points(gap) for _, gap in rows]
    right = max(map(len, numbers))
    left = min(max(len(label) for label, _ in rows), width - right - width // 3 - 4)
    room = width - left - right - 4
    low, high = min(0.0, *(gap.low for gap in known)), max(0.0, *(gap.high for gap in known))
    span = high - low or 1.0

    def place(value: float) -> int:
        return round((value - low) / span * (room - 1))

    lines = [
        f"{_cut(label, left):{left}}  {_bar(gap, place, room, drawn)}  {text:>{right}}".rstrip()
        for (label, gap), text in zip(rows, numbers, strict=True)
    ]
    return [*lines, f"{'':{left}}  {_scale(low, high, place, room)}".rstrip()]


def _bar(gap: Difference | None, place: Callable[[float], int], room: int, drawn: Marks) -> str:
    cells = [" "] * room
    cells[place(0)] = drawn.zero
    if gap is not None:
        first, last = place(gap.low), place(gap.high)
        for i in range(first, last + 1):
            cells[i] = drawn.cross if i == place(0) else drawn.line
        cells[first], cells[last] = drawn.low, drawn.high
        cells[place(gap.value)] = drawn.value
    return "".join(cells)


def _scale(low: float, high: float, place: Callable[[float], int], room: int) -> str:
    """Both ends and zero, where they do not touch."""
    text = [" "] * room
    for value in (0.0, low, high):
        label = "0" if value == 0 else f"{100 * value:+.0f}"
        start = min(max(place(value) - len(label) // 2, 0), room - len(label))
        around = text[max(start - 1, 0) : start + len(label) + 1]
        if not "".join(around).strip():
            text[start : start + len(label)] = label
    return "".join(text)


def _cut(label: str, width: int) -> str:
    return label if len(label) <= width else label[: width - 2] + ".."
