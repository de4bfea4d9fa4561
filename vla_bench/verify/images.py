"""`image_pipeline*.npz`: preparation of a camera image, each stage from its given input, and as a whole."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vla_bench.model.images import centre_crop, jpeg, lanczos3, prepare
from vla_bench.verify.compare import EXACT, IMAGE, RESIZED, Computed
from vla_bench.verify.fixture import Fixture, FixtureError


def computed(given: Fixture, size: int | None = None) -> Iterator[Computed]:
    """Input: img*.raw (H, W, 3) uint8, upright.  size: of the model's image in pixels; None for that of img*.resized."""
    names = sorted({match[1] for name in given.names() if (match := re.match(r"(img\d+)\.", name))})
    if not names:
        raise FixtureError("img0.raw is not in the file", "img0.raw")
    for image in names:
        raw = given[f"{image}.raw"]
        side = size or (given.shape(f"{image}.resized", f"{image}.cropped") or raw.shape)[0]
        squeezed = jpeg(raw)
        yield Computed(f"{image}.after_jpeg", squeezed, EXACT)
        resized = lanczos3(given.get(f"{image}.after_jpeg", squeezed), side)
        yield Computed(f"{image}.resized", resized, RESIZED)
        # Where the file lacks a resized image, ours is cropped, with the tolerance of the resize.
        tolerance = EXACT if f"{image}.resized" in given else IMAGE
        yield Computed(f"{image}.cropped", centre_crop(given.get(f"{image}.resized", resized)), tolerance)
        # The simulator renders upside down, and `prepare` turns the image.
        yield Computed(f"{image}.cropped", prepare(raw[::-1, ::-1], side), IMAGE, family="img*.cropped, whole chain")
