"""A simulator whose pictures tell cameras, corners and steps apart, and episodes recorded in it."""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np

from vla_bench.overlay.recording import Recording, read_recording
from vla_bench.query_record import QueryRecord
from vla_bench.records import write_actions
from vla_bench.trace import Cut, QueryTrace, pack

from ..made_runs import episode
from ..rollout.fakes import SUITE, FakeSimulator

STEPS, SIDE = 16, 8
MODEL = {"visual_tokens": 2 * SIDE * SIDE, "camera_size": 128, "cameras": 2, "center_crop": True}


class Drawn(FakeSimulator):
    """Blue; green in the corner that is lower right as rendered; red grows with the steps.  As sharp as its image size."""

    def observe(self, sight):
        seen = super().observe(sight)
        if seen is None or not seen.images:
            return seen
        size, images = self.image_size, {}
        for number, camera in enumerate(self.suite.cameras):
            image = np.zeros((size, size, 3), np.uint8)
            image[..., 0], image[..., 2] = 8 * self.steps, 120 + 60 * number
            image[size // 2 :, size // 2 :, 1] = 200
            image[:: 256 // size * 2] //= 2  # lines of a pixel: another size is another picture
            images[camera] = image
        return dataclasses.replace(seen, images=images)


def simulator() -> Drawn:
    drawn = Drawn(SUITE)
    drawn.start(SUITE.task(3))
    return drawn


def actions(closing: range = range(5, 12)) -> np.ndarray:
    values = np.full((STEPS, 7), 0.25)
    values[:, 6] = [1.0 if step in closing else -1.0 for step in range(STEPS)]
    return values


def query(step: int, *kept: list[int], merged: tuple[list[int], ...] | None = None) -> QueryRecord:
    """A query that kept these patches of each camera."""
    masks = [None if ids is None else tuple(pack(own, SIDE * SIDE) for own in ids) for ids in (kept, merged)]
    trace = QueryTrace((Cut("LLM input", 128, sum(map(len, kept)), sum(map(len, merged or ()))),), *masks)
    return QueryRecord.of(step, trace.per_camera(2, SIDE * SIDE), 12, {}, None, trace)


def recorded(folder, queries, policy=MODEL, **changed) -> Recording:
    """The recording of the episode that `Drawn` makes of `actions()`; changed: values of its line in the journal."""
    drawn = simulator()
    drawn.reset(0)
    for action in actions():
        drawn.step(action)
    line = episode(0, **{"steps": STEPS, "init_hash": drawn.init_hash(0), "state_hash": drawn.state_hash} | changed)
    folder.mkdir(exist_ok=True)
    write_actions(folder, line.key, actions())
    return read_recording(folder, line, queries, policy)


def without_trace(record: QueryRecord) -> QueryRecord:
    return replace(record, trace=None)
