"""Data sets as others publish them: of the rows of one of ours, without what only ours has."""

import io
import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from vla_bench.demonstrations.lerobot import features as form


def edit_info(root, change) -> None:
    """Change `info.json`; `change` gets its table."""
    table = json.loads((root / form.INFO).read_text())
    change(table)
    (root / form.INFO).write_text(json.dumps(table))


def edit_rows(path, change) -> None:
    """Change a Parquet file; `change` gets its table and returns another."""
    pq.write_table(change(pq.read_table(path)), path)


def foreign(dataset, out):
    """A copy of a data set without what only vla-bench writes."""
    shutil.copytree(dataset, out)
    (out / form.ABOUT).unlink()
    for path in out.glob("meta/episodes/*/*.parquet"):
        edit_rows(path, lambda table: table.drop_columns([form.DEMONSTRATION, form.SEGMENT, form.SUITE]))
    return out


def with_pictures(dataset, out, films):
    """As HuggingFaceVLA/libero: PNG in the rows.  films: by camera and number of the file, frames (T, S, S, 3)."""
    foreign(dataset, out)
    shutil.rmtree(out / "videos")
    for number, path in enumerate(sorted(out.glob("data/*/*.parquet"))):

        def add(table, number=number):
            for camera in form.CAMERAS.values():
                column = [{"bytes": png(image), "path": None} for image in films[camera, number]]
                kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
                table = table.append_column(camera, pa.array(column, kind))
            return table

        edit_rows(path, add)
    edit_info(out, lambda info: [info["features"][camera].update(dtype="image") for camera in form.CAMERAS.values()])
    return out


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()
