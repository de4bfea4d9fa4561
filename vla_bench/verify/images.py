"""`image_pipeline*.npz`: the path of a camera picture, stage by stage from the given input of each, and as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vla_bench.model.images import centre_crop, jpeg, lanczos3, prepare
from vla_bench.verify.compare import EXACT, PICTURE, RESIZED, Computed
from vla_bench.verify.fixture import Fixture, FixtureError


def computed(given: Fixture, size: int | None = None) -> Iterator[Computed]:
    """Input: img*.raw (H, W, 3) uint8, upright.  `size`: the model's picture; None reads it off img*.resized."""
    pictures = sorted({match[1] for name in given.names() if (match := re.match(r"(img\d+)\.", name))})
    if not pictures:
        raise FixtureError("img0.raw is not in the file", "img0.raw")
    for picture in pictures:
        raw = given[f"{picture}.raw"]
        side = size or (given.shape(f"{picture}.resized", f"{picture}.cropped") or raw.shape)[0]
        squeezed = jpeg(raw)
        yield Computed(f"{picture}.after_jpeg", squeezed, EXACT)
        resized = lanczos3(given.get(f"{picture}.after_jpeg", squeezed), side)
        yield Computed(f"{picture}.resized", resized, RESIZED)
        # From our own resize where the file lacks one, and then as near as that is.
        tolerance = EXACT if f"{picture}.resized" in given else PICTURE
        yield Computed(f"{picture}.cropped", centre_crop(given.get(f"{picture}.resized", resized)), tolerance)
        # The simulator draws upside down, which `prepare` undoes.
        yield Computed(f"{picture}.cropped", prepare(raw[::-1, ::-1], side), PICTURE, family="img*.cropped, whole chain")
