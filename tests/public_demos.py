"""Demonstrations as others publish them, made of random numbers."""

from __future__ import annotations

import h5py
import numpy as np

from vla_bench.demonstrations import hdf5
from vla_bench.demonstrations.hdf5 import LAYOUT


def public_file(path, frames, size=128, attributes=True, **changed):
    """A file as LIBERO publishes it, or as it is drawn again for the public checkpoints, without anything of ours."""
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        for name, length in frames.items():
            demo = data.create_group(name)
            for array, row in LAYOUT.items():
                shape = (length, *(size if n is None and array in hdf5.IMAGES else 77 if n is None else n for n in row))
                value = random.integers(0, 255, shape).astype(np.uint8) if array in hdf5.IMAGES else random.random(shape)
                if array == "actions":
                    value[:, 6] = np.where(np.arange(length) < length // 2, -1, 1)
                demo[array] = changed.get(array, value) if name == "demo_10" else value
            for gone in changed.get("gone", ()):
                del demo[gone]
            if attributes:
                demo.attrs["num_samples"] = length
        if attributes:
            data.attrs["num_demos"] = len(frames)
    return path
