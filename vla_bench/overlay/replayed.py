"""An episode replayed from its recorded actions: the cameras' frames at each step, and the pictures that the model was given."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from vla_bench.errors import NotComparableError
from vla_bench.model.images import prepare, upright
from vla_bench.overlay.recording import KeptTokens, Recording
from vla_bench.world.observation import Sight
from vla_bench.world.protocol import Simulator

# Of a side of a patch; both vision towers have patches of 14 pixels, so that `side` patches are the model's own image size.
PATCH_PIXELS = 14
OTHER_WORLD = "vla-bench overlay on a machine with the packages and assets that the run's run.json names"


@dataclass(frozen=True)
class Moment:
    """One step of an episode.

    frames: by camera of the suite, turned upright as the model has them, (H, W, 3) uint8.
    query: the last one, whose choice of tokens stands until the next; None for a policy without image tokens.
    pictures: of each camera of the model what it saw at that query, cropped and resized, (S, S, 3) uint8.
    """

    step: int
    frames: Mapping[str, np.ndarray]
    query: KeptTokens | None
    pictures: tuple[np.ndarray, ...]


def replay(simulator: Simulator, recording: Recording, steps: Collection[int]) -> Iterator[Moment]:
    """The moments at `steps`, in their order.  Raises NotComparableError where the episode begins or ends in another state."""
    film, seen = simulator.suite.image_size, recording.camera_size or simulator.suite.image_size
    queries = {query.step for query in recording.queries}
    pictures: dict[int, tuple[np.ndarray, ...]] = {}
    if seen != film:  # a simulator renders one size at a time; a replay without rendering costs little
        frames = _rendered(simulator, recording, seen, queries)
        pictures = {step: _pictures(recording, images) for step, images in frames}
    for step, images in _rendered(simulator, recording, film, {*steps} | (queries if seen == film else set())):
        if seen == film and step in queries:
            pictures[step] = _pictures(recording, images)
        if step in steps:
            query = recording.query_at(step)
            given = pictures[query.step] if query else ()
            yield Moment(step, {camera: upright(frame) for camera, frame in images.items()}, query, given)


def _rendered(
    simulator: Simulator, recording: Recording, size: int, steps: Collection[int]
) -> Iterator[tuple[int, Mapping[str, np.ndarray]]]:
    """The cameras' images at these steps, as rendered, `size` pixels a side."""
    key = recording.key
    if simulator.init_hash(key.init_state) != recording.init_hash:
        raise NotComparableError(f"{key} began in another init state than LIBERO's files here have", OTHER_WORLD)
    simulator.image_size = size
    observation = simulator.reset(key.init_state, _sight(0 in steps), key.repeat)
    if 0 in steps:
        yield 0, observation.images
    for step, action in enumerate(recording.actions, 1):
        _, observation = simulator.step(action, _sight(step in steps))
        if step in steps:
            yield step, observation.images
    if simulator.state_hash != recording.state_hash:
        what = f"{key} ended in another state when it was replayed: {simulator.state_hash}, recorded {recording.state_hash}"
        raise NotComparableError(what, OTHER_WORLD)


def _sight(rendered: bool) -> Sight:
    return Sight.IMAGES if rendered else Sight.NOTHING


def _pictures(recording: Recording, images: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """As the model is given them."""
    frames = list(images.values())[: recording.cameras]
    size = len(frames[0]) if recording.side is None else PATCH_PIXELS * recording.side
    return tuple(prepare(frame, size, recording.crop) for frame in frames)
