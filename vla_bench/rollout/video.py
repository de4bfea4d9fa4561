"""Videos: an episode's actions are replayed from its init state and rendered, so that filming does not slow the episode."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vla_bench.errors import WorldError
from vla_bench.files import discard, sync, temporary_for
from vla_bench.records import EpisodeKey
from vla_bench.world.observation import Observation, Sight
from vla_bench.world.protocol import Simulator

STRIDE = 2  # control steps per frame: 10 frames a second at 20 Hz


def side_by_side(observation: Observation) -> np.ndarray:
    """All camera images next to each other, upright: (H, cameras * W, 3) uint8."""
    return np.hstack([image[::-1] for image in observation.images.values()])


def frames(simulator: Simulator, key: EpisodeKey, actions: np.ndarray, success: bool) -> Iterator[np.ndarray]:
    """The frames of an episode, rendered while its actions are replayed.  Raises WorldError if it ends differently."""
    yield side_by_side(simulator.reset(key.init_state, Sight.IMAGES, key.repeat))
    replayed = False
    for i, action in enumerate(actions, 1):
        rendered = i % STRIDE == 0 or i == len(actions)
        replayed, observation = simulator.step(action, Sight.IMAGES if rendered else Sight.NOTHING)
        if rendered:
            yield side_by_side(observation)
    if replayed != success:
        raise WorldError(f"episode {key} ended differently when it was replayed for its video")


def writer(path: Path, frames_per_second: float):
    """A context manager with `append_data(frame)`, which writes frames (H, W, 3) uint8 as H.264; H and W must be even."""
    import imageio.v2 as imageio

    options = {"codec": "libx264", "pixelformat": "yuv420p", "macro_block_size": 2, "output_params": ["-movflags", "+faststart"]}
    return imageio.get_writer(path, fps=frames_per_second, **options)


def record(simulator: Simulator, key: EpisodeKey, actions: np.ndarray, success: bool, folder: Path) -> str:
    """Write `SUITE-tTASK-iINIT-STATUS.mp4` (H.264) and a poster PNG beside it; returns the video's file name."""
    from PIL import Image

    name = f"{key}-{'success' if success else 'failure'}"
    simulator.image_size = simulator.suite.image_size  # not the model's image size, which may be smaller
    folder.mkdir(parents=True, exist_ok=True)
    temporary = temporary_for(folder / f"{name}.mp4")  # a folder: formats follow from the ends of names
    film, poster = temporary / f"{name}.mp4", temporary / f"{name}.png"
    frame = None
    try:
        temporary.mkdir()
        with writer(film, simulator.suite.control_hz / STRIDE) as video:
            for frame in frames(simulator, key, actions, success):
                video.append_data(frame)
        Image.fromarray(frame).save(poster)
        for written in (poster, film):
            sync(written)
            os.replace(written, folder / written.name)
    finally:
        discard(temporary)
    return f"{name}.mp4"
