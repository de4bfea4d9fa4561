"""`sweep.json`: the rows of a sweep and the run folders of each, as `vla-bench sweep` and `vla-bench ablate` leave them.

A row has one run folder; where its pruner or checkpoint differs from suite to suite, one for each suite.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from vla_bench.errors import RecordError
from vla_bench.records import Episode, Run, write_atomically
from vla_bench.results.merge import merge_parts
from vla_bench.results.summary_file import read_folder, summary_of

SWEEP = "sweep.json"
FORMAT = 1
FOLDER = re.compile(r"[\w][\w.-]*")  # a name in the sweep's folder, never a path out of it


@dataclass(frozen=True)
class RowRun:
    """One run folder of a row.  folder: its name in the sweep's folder.  pruner: as it ran; None for the checkpoint's own."""

    folder: str
    suites: tuple[str, ...]
    pruner: str | None = None

    def __post_init__(self) -> None:
        named = isinstance(self.folder, str) and FOLDER.fullmatch(self.folder) is not None
        if not named or not all(isinstance(suite, str) for suite in self.suites) or not _text_or_none(self.pruner):
            raise ValueError(f"{self.folder!r} of {self.suites!r} with {self.pruner!r} is no run of a row")


@dataclass(frozen=True)
class SweepRow:
    """One row.  model, pruner: as they were asked for, as `random(keep=match:own)`; None for the checkpoint's own pruner.

    runs: those that have begun; none of a row that has not.
    """

    name: str
    model: str
    pruner: str | None = None
    runs: tuple[RowRun, ...] = ()

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name and isinstance(self.model, str) and _text_or_none(self.pruner)):
            raise ValueError(f"{self.name!r} with {self.model!r} and {self.pruner!r} is no row")


@dataclass(frozen=True)
class SweepFile:
    """What `sweep.json` says.  base: the name of the row that the others are paired with."""

    title: str
    command: str
    base: str
    rows: tuple[SweepRow, ...] = field(default=())

    def __post_init__(self) -> None:
        names = [row.name for row in self.rows]
        if len(set(names)) != len(names) or self.base not in names:
            raise ValueError(f"base {self.base!r} of the rows {names}")

    @property
    def base_first(self) -> list[SweepRow]:
        """The rows in their order, but the base before all others."""
        return sorted(self.rows, key=lambda row: row.name != self.base)

    def row(self, name: str) -> SweepRow | None:
        return next((row for row in self.rows if row.name == name), None)

    def with_row(self, row: SweepRow) -> SweepFile:
        """With `row` in place of the row of its name."""
        return replace(self, rows=tuple(row if each.name == row.name else each for each in self.rows))


def is_sweep(folder: Path) -> bool:
    return (folder / SWEEP).is_file()


def read_sweep(folder: Path) -> SweepFile:
    """Raises RecordError for what is no sweep."""
    path = folder / SWEEP
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        if (version := table.pop("format")) != FORMAT:
            raise ValueError(f"format {version}; this vla-bench reads {FORMAT}")
        rows = tuple(_row(each) for each in table.pop("rows"))
        return SweepFile(**table, rows=rows)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        fix = f"the command of the sweep again, with --out {folder}: it writes the file anew and runs nothing twice"
        raise RecordError(f"{path} is not the file of a sweep: {error}", fix) from error


def write_sweep(folder: Path, sweep: SweepFile) -> None:
    """Raises RecordError."""
    write_atomically(folder / SWEEP, json.dumps({"format": FORMAT, **asdict(sweep)}, indent=1) + "\n")


def read_row(folder: Path, row: SweepRow) -> tuple[Run, list[Episode]]:
    """The runs of a row as one, with the pruner as it was asked for.

    Raises RecordError for a row that has not begun, DamagedRunError, NotComparableError.
    """
    if not row.runs:
        raise RecordError(f"{row.name} in {folder} has not begun", "the command of the sweep again: it resumes")
    folders = [folder / run.folder for run in row.runs]
    parts = [read_folder(each) for each in folders]
    if len(parts) > 1:
        checkpoints = {s: (run.config.get("policy") or {}).get("checkpoint") for run, _ in parts for s in run.suites}
        one = len(set(checkpoints.values())) == 1
        parts = [(_as_asked(run, row, None if one else checkpoints), episodes) for run, episodes in parts]
    return merge_parts(folders, parts)


def row_path(folder: Path, row: SweepRow) -> Path:
    """The run folder of a row that has one; else what the names of its run folders have in common, which is no folder."""
    if not row.runs:
        return folder / re.sub(r"[^\w.-]+", "-", row.name)
    first, *others = row.runs
    return folder / (first.folder.removesuffix(f"-{first.suites[0]}") if others else first.folder)


def row_summary(folder: Path, row: SweepRow) -> dict:
    """The summary of `read_row`."""
    return summary_of(*read_row(folder, row))


def _as_asked(run: Run, row: SweepRow, checkpoints: dict[str, object] | None) -> Run:
    """The run with what differs from suite to suite as the row has it.  checkpoints: by suite; None where there is one."""
    config = dict(run.config)
    if row.pruner is not None:
        config["pruner"] = row.pruner
    if config.get("policy"):
        config["policy"] = config["policy"] | ({"pruner": row.pruner} if row.pruner is not None else {})
        config["policy"] |= {} if checkpoints is None else {"checkpoint": checkpoints}
    return replace(run, config=config)


def _row(table: dict) -> SweepRow:
    runs = tuple(RowRun(**each | {"suites": tuple(each["suites"])}) for each in table["runs"])
    return SweepRow(**table | {"runs": runs})


def _text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)
