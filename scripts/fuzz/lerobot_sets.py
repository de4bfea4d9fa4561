"""A LeRobot data set, with films and with pictures in its rows, taken as training takes it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from vla_bench.demonstrations.hdf5 import LAYOUT, Demo, write_demos
from vla_bench.demonstrations.lerobot import features as form
from vla_bench.demonstrations.lerobot.reading import tasks_of
from vla_bench.demonstrations.lerobot.writing import write_lerobot
from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.values import ImageOrder

FRAMES, SIZE = 6, 16


def a_demonstration() -> Demo:
    draw = np.random.default_rng(0)
    arrays = {name: draw.normal(size=(FRAMES, *(n or 5 for n in row))) for name, row in LAYOUT.items() if len(row) < 3}
    arrays["actions"] = np.clip(0.4 * draw.normal(size=(FRAMES, 7)), -1, 1)
    arrays["actions"][:, 6] = np.where(np.arange(FRAMES) < 3, -1.0, 1.0)
    arrays |= {name: draw.integers(0, 256, (FRAMES, SIZE, SIZE, 3)).astype(np.uint8) for name in LAYOUT if name.endswith("rgb")}
    arrays |= {name: np.zeros(FRAMES, np.uint8) for name in ("rewards", "dones")}
    return Demo("", "", arrays, np.zeros(FRAMES, int), np.zeros((FRAMES, 1, 3)), ("milk_1",))


def make_datasets(folder: Path) -> None:
    file = folder / "pick_up_the_milk_and_place_it_in_the_basket_demo.hdf5"
    write_demos(file, {}, [a_demonstration()])
    for name in ("films", "pictures"):
        write_lerobot([file], folder / name)
    rows, info = folder / "pictures" / form.DATA_PATH.format(**form.place(0)), folder / "pictures" / form.INFO
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    table = pq.read_table(rows)
    for camera in form.CAMERAS.values():
        table = table.append_column(camera, pa.array([{"bytes": picture(), "path": None}] * FRAMES, kind))
    pq.write_table(table, rows)
    info.write_text(info.read_text().replace('"dtype": "video"', '"dtype": "image"'))


def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), np.uint8)).save(file, "PNG")
    return file.getvalue()


def read_datasets(folder: Path) -> object:
    demos = [
        demo
        for name in ("films", "pictures")
        for task in tasks_of(folder / name)
        for demo in UsableDemos(task, ImageOrder.ROTATED).read()
    ]
    return [(demo.instruction, len(demo), sorted(demo.arrays)) for demo in demos]
