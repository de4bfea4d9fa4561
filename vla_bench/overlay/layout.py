"""A film's frame: raw pictures above, below what the model saw of them, a caption, and a strip of kept image tokens."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from vla_bench.overlay.patches import enlarged, overlaid
from vla_bench.overlay.recording import NO_TOKENS, NOT_RECORDED, KeptTokens, Recording
from vla_bench.overlay.replayed import Moment

PANEL, GAP, MARGIN = 320, 8, 12  # pixels; frames must be even in both directions for H.264
HEADER, STRIP, LEGEND = 58, 84, 24
WIDTH = 2 * PANEL + GAP + 2 * MARGIN
HEIGHT = HEADER + 2 * PANEL + GAP + LEGEND + STRIP + MARGIN
WHITE, INK, SOFT, EMPTY = (255, 255, 255), (20, 20, 20), (110, 110, 110), (225, 225, 225)
LINES = ((0, 114, 178), (213, 94, 0))  # blue and vermilion of Okabe and Ito, by camera
LABELS = {"agentview": "agent view", "robot0_eye_in_hand": "wrist"}


class Frames:
    """Draws the frames of one film.

    instruction: the task's.  cameras: of the suite, in its order; the first two are shown, as the models have two at most.
    """

    def __init__(self, recording: Recording, instruction: str, cameras: Sequence[str]):
        self.recording, self.cameras = recording, tuple(cameras[:2])
        self._left, self._right = MARGIN + 48, WIDTH - MARGIN - 4
        self._top = HEADER + 2 * PANEL + GAP + LEGEND
        self._base = self._blank(instruction)
        self._model_row: tuple[KeptTokens | None, list[np.ndarray]] | None = None

    def draw(self, moment: Moment) -> np.ndarray:
        """(HEIGHT, WIDTH, 3) uint8."""
        from PIL import Image, ImageDraw

        page = self._base.copy()
        if self._model_row is None or self._model_row[0] is not moment.query:
            self._model_row = moment.query, model_row(moment, self.cameras, self.recording.cameras, PANEL)
        for place, panel in enumerate(raw_row(moment, self.cameras, PANEL) + self._model_row[1]):
            page.paste(Image.fromarray(panel), corner(place, PANEL, (MARGIN, HEADER)))
        pen = ImageDraw.Draw(page)
        pen.text((MARGIN, 33), self._caption(moment), INK, font(16))
        x = self._x(moment.step)
        pen.line([(x, self._top), (x, self._top + STRIP - 14)], INK, 2)
        return np.asarray(page)

    def _caption(self, moment: Moment) -> str:
        words = [f"step {moment.step} of {len(self.recording.actions)}", *kept_words(moment.query, self.cameras, self.recording)]
        return ", ".join(words)

    def _x(self, step: int) -> int:
        return round(self._left + (self._right - self._left) * step / max(1, len(self.recording.actions)))

    def _blank(self, instruction: str):
        """What is the same in every frame: instruction, legend and the strip without its cursor."""
        from PIL import Image, ImageDraw

        page = Image.new("RGB", (WIDTH, HEIGHT), WHITE)
        pen = ImageDraw.Draw(page)
        name = f"{instruction} ({self.recording.name})"
        size = next((size for size in range(19, 10, -1) if pen.textlength(name, font(size)) <= WIDTH - 2 * MARGIN), 10)
        pen.text((MARGIN, 8), name, INK, font(size))
        pen.text((MARGIN, self._top - LEGEND + 4), legend(self.recording), SOFT, font(14))
        self._strip(pen)
        return page

    def _strip(self, pen) -> None:
        """Kept image tokens over the episode, a line a camera; a line stands until the next query."""
        queries, end = self.recording.queries, len(self.recording.actions)
        bottom, high = self._top + STRIP - 14, STRIP - 24
        pen.line([(self._left, bottom), (self._right, bottom)], SOFT)
        if not queries:
            pen.text((self._left, self._top + 24), f"kept image tokens: {NO_TOKENS} in its record", SOFT, font(14))
            return
        most = max(max(query.kept) for query in queries) or 1
        for value, y in ((most, bottom - high), (0, bottom)):
            pen.text((self._left - 6, y), str(value), SOFT, font(13), anchor="rm")
        steps = [query.step for query in queries] + [end]
        for camera in range(min(len(self.cameras), self.recording.cameras)):
            points = []
            for query, until in zip(queries, steps[1:], strict=True):
                y = bottom - round(high * query.kept[camera] / most)
                points += [(self._x(query.step), y), (self._x(until), y)]
            pen.line(points, LINES[camera], 2)
            text = LABELS.get(self.cameras[camera], self.cameras[camera])
            pen.text((self._right - 90 * (1 - camera), self._top - 4), text, LINES[camera], font(14), anchor="rm")


def panels(moment: Moment, cameras: Sequence[str], seen: int, size: int) -> list[np.ndarray]:
    """The 2 x 2, row by row, `size` pixels each: every camera, then what the model saw of it.  seen: cameras of the model."""
    return raw_row(moment, cameras, size) + model_row(moment, cameras, seen, size)


def raw_row(moment: Moment, cameras: Sequence[str], size: int) -> list[np.ndarray]:
    return _two([enlarged(moment.frames[camera], size) for camera in cameras], size)


def model_row(moment: Moment, cameras: Sequence[str], seen: int, size: int) -> list[np.ndarray]:
    """What the model saw at its last query, or why there is none; the same until the next query."""
    row = []
    for place in range(len(cameras)):
        if moment.query is None or place >= seen:
            row.append(_said(NO_TOKENS if moment.query is None else "not seen by the model", size))
        elif moment.query.patches is None:
            row.append(_labelled(enlarged(moment.pictures[place], size), NOT_RECORDED))
        else:
            row.append(overlaid(moment.pictures[place], moment.query.patches[place], size))
    return _two(row, size)


def _two(row: list[np.ndarray], size: int) -> list[np.ndarray]:
    return row + [_said("no second camera", size)] * (2 - len(row))


def corner(place: int, size: int, origin: tuple[int, int]) -> tuple[int, int]:
    """Where panel `place` of the 2 x 2 lies."""
    row, column = divmod(place, 2)
    return origin[0] + column * (size + GAP), origin[1] + row * (size + GAP)


def kept_words(query: KeptTokens | None, cameras: Sequence[str], recording: Recording) -> list[str]:
    """What a query kept, of each camera; empty for a policy without image tokens."""
    if query is None:
        return []
    if query.cached:
        return ["cached action: no image was read"]
    of = f" of {recording.side**2}" if recording.side else ""
    names = [LABELS.get(camera, camera) for camera in cameras]
    words = [f"{name} {count}{of}" for name, count in zip(names, query.kept, strict=False)]
    return [f"kept: {words[0]}", *words[1:]]


def legend(recording: Recording) -> str:
    """What the lower row shows."""
    known = [query.patches for query in recording.queries if query.patches is not None]
    if not recording.queries:
        return "below: nothing, since the policy has no image tokens in its record"
    if not known:
        return f"below: what the model saw at its last query; {NOT_RECORDED}"
    words = ["below: what the model saw at its last query; dimmed: pruned"]
    if any(query.reused for query in recording.queries):
        words.append("with earlier keys and values reused")
    if any(camera.merged.any() for patches in known for camera in patches):
        words.append("yellow: merged")
    return ", ".join(words)


@lru_cache(maxsize=32)
def font(size: int):
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _said(text: str, size: int) -> np.ndarray:
    """A panel that says why it is empty."""
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (size, size), EMPTY)
    ImageDraw.Draw(page).text((size / 2, size / 2), text, INK, font(max(11, size // 20)), anchor="mm")
    return np.asarray(page)


def _labelled(picture: np.ndarray, text: str) -> np.ndarray:
    from PIL import Image, ImageDraw

    page, size = Image.fromarray(picture), len(picture)
    pen = ImageDraw.Draw(page)
    where = (size / 2, size - size // 16)
    pen.rectangle(pen.textbbox(where, text, font(max(11, size // 22)), anchor="mm"), WHITE)
    pen.text(where, text, INK, font(max(11, size // 22)), anchor="mm")
    return np.asarray(page)
