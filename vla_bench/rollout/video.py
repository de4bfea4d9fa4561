"""Videos: an episode's actions are replayed from its start and drawn, so that filming costs the episode nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vla_bench.errors import WorldError
from vla_bench.records import EpisodeKey
from vla_bench.world.observation import Observation, Sight
from vla_bench.world.protocol import Simulator

STRIDE = 2  # control steps per frame: 10 frames a second at 20 Hz


def side_by_side(observation: Observation) -> np.ndarray:
    """All cameras next to each other, the right way up: (H, cameras * W, 3)."""
    return np.hstack([image[::-1] for image in observation.images.values()])


def frames(simulator: Simulator, key: EpisodeKey, actions: np.ndarray, success: bool) -> Iterator[np.ndarray]:
    """The frames of an episode, drawn while its actions are repeated.  Raises WorldError if it ends differently."""
    yield side_by_side(simulator.reset(key.init_state, Sight.IMAGES, key.repeat))
    again = False
    for i, action in enumerate(actions, 1):
        drawn = i % STRIDE == 0 or i == len(actions)
        again, observation = simulator.step(action, Sight.IMAGES if drawn else Sight.NOTHING)
        if drawn:
            yield side_by_side(observation)
    if again != success:
        raise WorldError(f"episode {key} ended differently when it was repeated for its video")


def record(simulator: Simulator, key: EpisodeKey, actions: np.ndarray, success: bool, folder: Path) -> str:
    """Write `SUITE-tTASK-iINIT-STATUS.mp4` (H.264) and a poster PNG beside it; returns the video's file name."""
    import imageio.v2 as imageio
    from PIL import Image

    name = f"{key}-{'success' if success else 'failure'}"
    simulator.image_size = simulator.suite.image_size  # people see more than a small model
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{name}.mp4"
    options = {"codec": "libx264", "pixelformat": "yuv420p", "macro_block_size": 2, "output_params": ["-movflags", "+faststart"]}
    frame = None
    with imageio.get_writer(temporary, fps=simulator.suite.control_hz / STRIDE, **options) as writer:
        for frame in frames(simulator, key, actions, success):
            writer.append_data(frame)
    Image.fromarray(frame).save(folder / f"{name}.png")
    os.replace(temporary, folder / f"{name}.mp4")
    return f"{name}.mp4"
