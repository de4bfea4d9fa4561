"""A run written as the result files of another harness."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from vla_bench.errors import UsageError
from vla_bench.records import make_room, write_atomically
from vla_bench.report.harnesses.inspect_log import inspect_files
from vla_bench.report.harnesses.lerobot import lerobot_files
from vla_bench.report.harnesses.source_run import SourceRun
from vla_bench.report.harnesses.vla_eval import vla_eval_files
from vla_bench.values import Harness

WRITERS: dict[Harness, Callable[[SourceRun], dict[str, object]]] = {
    Harness.LEROBOT: lerobot_files,
    Harness.VLA_EVAL: vla_eval_files,
    Harness.INSPECT: inspect_files,
}


def write_harness_files(harness: Harness, source: SourceRun, folder: Path, force: bool = False) -> list[Path]:
    """The files in `folder`, under the names that the harness gives them.

    force: replace files that are there.  Raises UsageError without it, before anything is written; RecordError.
    """
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--out takes a folder, and {folder} is a file", instead={"--out": str(folder.parent)})
    content = {folder / name: body for name, body in WRITERS[harness](source).items()}
    if not force and (there := [path for path in content if path.exists()]):
        raise UsageError(f"{there[0]} is there already", instead={"--force": ""})
    for path, body in content.items():
        make_room(path)
        write_atomically(path, json.dumps(body, indent=2, allow_nan=False) + "\n")
    return list(content)
