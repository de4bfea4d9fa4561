"""Demonstrations made of random numbers, and short trainings on them."""

from __future__ import annotations

import numpy as np
from safetensors.torch import load_file

from vla_bench.demonstrations.hdf5 import LAYOUT, Demo
from vla_bench.training.finetune import TrainRequest
from vla_bench.training.recipe import recipe

TASK = "pick_up_the_milk_and_place_it_in_the_basket"
SHORT = {"steps": 6, "batch": 2, "seed": 3}


def demonstration(seed: int, frames: int = 22) -> Demo:
    """The arm moves, the gripper closes in the middle, two steps do nothing, and something happens after step 15."""
    draw = np.random.default_rng(seed)
    arrays = {name: draw.normal(size=(frames, *(n or 5 for n in row))) for name, row in LAYOUT.items() if len(row) < 3}
    arrays["actions"] = np.clip(0.4 * draw.normal(size=(frames, 7)), -1, 1)
    arrays["actions"][:, 6] = np.where(np.arange(frames) < 11, -1.0, 1.0)
    arrays["actions"][4:6, :6] = 0
    for name in ("obs/agentview_rgb", "obs/eye_in_hand_rgb"):
        arrays[name] = np.kron(draw.integers(0, 256, (frames, 8, 8, 3)), np.ones((1, 16, 16, 1))).astype(np.uint8)
    for name in ("rewards", "dones"):
        arrays[name] = np.zeros(frames, np.uint8)
    segment = (np.arange(frames) > 15).astype(np.int64)
    return Demo("", "", arrays, segment, draw.normal(size=(frames, 2, 3)), ("milk_1", "basket_1"))


def request(data, out, name="nano-oft", resume=False, **options):
    return TrainRequest(recipe(name).with_options(**SHORT | options), data, out, "cpu", save_every=2, resume=resume)


def weights(folder):
    files = sorted(folder.glob("checkpoint/*.safetensors"))
    return {f"{file.name}:{name}": value for file in files for name, value in load_file(file).items()}
