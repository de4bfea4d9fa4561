"""The mean picture of each camera, as the model sees it: of the run's own posters, else of the bundled observations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from vla_bench.errors import VlaBenchError

PRIMITIVE = "primitive"  # the pack that the bundled observations show
SIZE = 224  # pixels


def mean_pictures(
    folders: Sequence[Path], assets: str, suites: Sequence[str], cameras: Sequence[str], crop: bool = True
) -> tuple[dict[str, np.ndarray], str]:
    """By camera (SIZE, SIZE, 3) uint8, and whose mean it is; empty where there is none for these assets.

    crop: whether the model crops its images.
    """
    found = _posters(folders, cameras, crop)
    source = "of the last frames of its filmed episodes"
    if not found and assets == PRIMITIVE:
        found, source = _bundled(suites, crop), "of the bundled observations of these suites"
    return {camera: np.mean(frames, axis=0).astype(np.uint8) for camera, frames in found.items() if camera in cameras}, source


def _posters(folders: Sequence[Path], cameras: Sequence[str], crop: bool) -> dict[str, list[np.ndarray]]:
    """Of the posters beside the videos, where the cameras stand side by side, each mirrored against what the model sees."""
    from PIL import Image

    found: dict[str, list[np.ndarray]] = {}
    for path in sorted(each for folder in folders for each in (folder / "videos").glob("*.png"))[:200]:
        try:
            with Image.open(path) as file:
                poster = np.asarray(file.convert("RGB"))
        except (OSError, ValueError):  # a poster that cannot be read costs the report nothing
            continue
        if poster.shape[1] == len(cameras) * poster.shape[0]:
            # Upside down again: that is how the simulator renders, and what `prepare` expects.
            frames = np.split(poster[::-1], len(cameras), axis=1)
            _add(found, zip(cameras, frames, strict=True), crop)
    return found


def _bundled(suites: Sequence[str], crop: bool) -> dict[str, list[np.ndarray]]:
    from vla_bench.measure.recorded import read_observations

    found: dict[str, list[np.ndarray]] = {}
    try:
        episodes = read_observations(suites=suites)
    except VlaBenchError:  # a suite of which none is bundled
        return found
    for observation in (each for episode in episodes for each in episode):
        _add(found, observation.images.items(), crop)
    return found


def _add(found: dict[str, list[np.ndarray]], frames: Iterable[tuple[str, np.ndarray]], crop: bool) -> None:
    from vla_bench.model.images import prepare

    for camera, frame in frames:
        found.setdefault(camera, []).append(prepare(np.ascontiguousarray(frame), SIZE, crop))
