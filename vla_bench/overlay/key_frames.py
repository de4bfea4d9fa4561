"""The key frames of an episode, and its contact sheet: them side by side, as in Figure 3 of the LightVLA paper."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vla_bench.overlay.layout import GAP, INK, MARGIN, WHITE, corner, font, kept_words, legend, panels
from vla_bench.overlay.recording import Recording
from vla_bench.overlay.replayed import Moment

COUNT, IN_A_ROW = 8, 4
SMALL, LINE = 168, 20  # pixels: of a panel, of a line of text


def key_steps(recording: Recording, count: int = COUNT) -> list[int]:
    """Up to `count` steps at which the policy was queried, and the last one.

    First the start, the queries before the gripper's command changes (it grasps or lets go) and the end, evenly thinned out if
    there are more; then the middles of the longest stretches between them.
    """
    end, closing = len(recording.actions), recording.actions[:, -1] > 0
    queries = [query.step for query in recording.queries] or list(range(end))
    changes = np.flatnonzero(closing[1:] != closing[:-1]) + 1
    found = sorted({0, *(max(step for step in queries if step <= change) for change in changes), end})
    if len(found) > count:
        return [found[round(place)] for place in np.linspace(0, len(found) - 1, count)]
    while len(found) < min(count, len({*queries, end})):
        middles = [
            (b - a, min(inside, key=lambda step: abs(step - (a + b) / 2)))
            for a, b in zip(found, found[1:], strict=False)
            if (inside := [step for step in queries if a < step < b])
        ]
        found = sorted([*found, max(middles)[1]])
    return found


def contact_sheet(moments: Sequence[Moment], recording: Recording, instruction: str, cameras: Sequence[str]) -> np.ndarray:
    """(H, W, 3) uint8: key frames in rows, each 2 x 2, raw above, below what the model saw."""
    from PIL import Image, ImageDraw

    side = 2 * SMALL + GAP
    columns = min(IN_A_ROW, len(moments))
    rows = -(-len(moments) // columns)
    wide, high, head = side + 2 * GAP, side + 2 * LINE + GAP, 30
    page = Image.new("RGB", (columns * wide + 2 * MARGIN - 2 * GAP, head + rows * high + LINE + MARGIN), WHITE)
    pen = ImageDraw.Draw(page)
    pen.text((MARGIN, 6), f"{instruction} ({recording.name}, {len(recording.actions)} steps)", INK, font(18))
    for place, moment in enumerate(moments):
        row, column = divmod(place, columns)
        left, top = MARGIN + column * wide, head + row * high
        for number, panel in enumerate(panels(moment, cameras[:2], recording.cameras, SMALL)):
            page.paste(Image.fromarray(panel), corner(number, SMALL, (left, top)))
        pen.text((left, top + side + 3), f"step {moment.step}", INK, font(14))
        words = ", ".join(kept_words(moment.query, cameras[:2], recording))
        pen.text((left, top + side + 3 + LINE), words, INK, font(14))
    pen.text((MARGIN, head + rows * high + 4), legend(recording), INK, font(14))
    return np.asarray(page)
