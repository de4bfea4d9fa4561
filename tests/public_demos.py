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
            for array, value in changed.get("added", {}).items():
                demo[array] = value
            for gone in changed.get("gone", ()):
                del demo[gone]
            if attributes:
                demo.attrs["num_samples"] = length
        if attributes:
            data.attrs["num_demos"] = len(frames)
    return path


def moving(frames=48, seed=0):
    """The arrays of a demonstration that hang together: the arm follows its actions, the fingers their command, and the images
    show a bright hand where LIBERO's cameras would, upside down."""
    random, time = np.random.default_rng(seed), np.linspace(0, 1, frames)
    turns = random.uniform(5, 9, 3)
    ee_pos = np.array([-0.1, 0.0, 0.2]) + 0.15 * np.sin(turns * time[:, None] + random.uniform(0, 6, 3))
    closed = (time > 0.3) & (time < 0.8)
    width = np.empty(frames)
    width[0] = 0.08
    for row in range(1, frames):
        width[row] = np.clip(width[row - 1] + (-0.01 if closed[row - 1] else 0.01), 0.04, 0.08)
    moved = np.diff(ee_pos, axis=0, append=2 * ee_pos[-1:] - ee_pos[-2:-1])
    actions = np.zeros((frames, 7))
    actions[:, :3] = np.clip(moved / 0.03, -1, 1)
    actions[:, 6] = np.where(closed, 1, -1)
    fixed, wrist = np.full((frames, 48, 48, 3), 40, np.uint8), np.full((frames, 48, 48, 3), 40, np.uint8)
    wrist[:, 8:] = random.integers(0, 256, (frames, 40, 48, 3))
    for image, (x, y, z) in zip(fixed, ee_pos, strict=True):
        row, column = int(30 + 24 * (z - 0.2 - (x + 0.1))), int(24 + 80 * y)
        image[max(row - 4, 0) : row + 4, max(column - 4, 0) : column + 4] = 220
    ee_ori = np.tile([3.1, 0.0, 0.0], (frames, 1))
    fingers = np.stack([width / 2, -width / 2], axis=1)
    return {
        "actions": actions,
        "states": random.random((frames, 12)),
        "robot_states": random.random((frames, 9)),
        "rewards": np.zeros(frames, np.uint8),
        "dones": np.zeros(frames, np.uint8),
        "obs/ee_states": np.hstack([ee_pos, ee_ori]),
        "obs/ee_pos": ee_pos,
        "obs/ee_ori": ee_ori,
        "obs/gripper_states": fingers,
        "obs/joint_states": random.random((frames, 7)),
        "obs/agentview_rgb": fixed,
        "obs/eye_in_hand_rgb": wrist,
    }


def moving_file(path, change=lambda arrays: None, count=2, **attributes):
    """A file of `moving` demonstrations, each changed by `change`; attributes of the group `data`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        data.attrs.update(attributes)
        for number in range(count):
            arrays = moving(seed=number)
            change(arrays)
            for name, value in arrays.items():
                data[f"demo_{number}/{name}"] = value
    return path
