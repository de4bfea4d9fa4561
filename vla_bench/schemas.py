"""JSON Schemas of the files that vla-bench writes: `schema/`, completed with the metrics."""

from __future__ import annotations

import json
from pathlib import Path

from vla_bench.metrics import schema_properties

FOLDER = Path(__file__).resolve().parent / "schema"
NAMES = tuple(sorted(path.name.removesuffix(".schema.json") for path in FOLDER.glob("*.schema.json")))


def schema(name: str) -> dict:
    """The JSON Schema called `name`: episode, queries, run or verify."""
    table = json.loads((FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    if name == "episode":
        table["properties"] |= schema_properties()
    return table
