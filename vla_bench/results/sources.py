"""Where runs are: run folders, summaries, folders of runs, and sweeps, whose rows may have a run folder for each suite."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from vla_bench.documents import typed
from vla_bench.errors import RecordError, UsageError
from vla_bench.queries import read_queries
from vla_bench.query_record import QueryRecord
from vla_bench.records import Episode, EpisodeKey, Run, Status
from vla_bench.results.merge import Recorded
from vla_bench.results.summary_check import episodes_of
from vla_bench.results.summary_file import read_folder, read_summary, summary_of
from vla_bench.results.sweep_file import SweepRow, is_sweep, read_row, read_sweep, row_path


@dataclass(frozen=True)
class Source:
    """One run.

    path: by which it is known.  folders: its run folders, several of a row of a sweep; none of a summary.
    row: of a sweep; None for a run by itself.
    """

    path: Path
    folders: tuple[Path, ...]
    row: SweepRow | None = None

    def summary(self) -> dict:
        """Raises RecordError, DamagedRunError; NotComparableError for a row of runs that are no parts of one."""
        return read_summary(self.path) if self.row is None else summary_of(*self.read())

    def read(self) -> Recorded:
        """The run with its episodes, in the order of their keys; of a summary as far as it tells.  Raises as `summary`."""
        if self.row is not None:
            return read_row(self.path.parent, self.row)
        return read_folder(self.path) if self.folders else _of_summary(self.path)

    def queries(self) -> Iterator[tuple[EpisodeKey, list[QueryRecord]]]:
        """Those of the episodes that ended without an error; none of a summary.  Raises RecordError, DamagedRunError."""
        for folder in self.folders:
            ended = {episode.key for episode in read_folder(folder)[1] if episode.status is not Status.ERROR}
            yield from ((key, queries) for key, queries in read_queries(folder).items() if key in ended)

    def film(self, episode: Episode) -> Path | None:
        """Of an episode of this run; None where there is none, or the file is gone."""
        of_rows = zip(self.folders, self.row.runs if self.row else (), strict=False)
        own = [folder for folder, run in of_rows if episode.suite in run.suites] or self.folders
        films = (folder / episode.video for folder in own if episode.video)
        return next((film for film in films if film.is_file()), None)


def source(path: Path) -> Source:
    """The run folder or summary at a path, which is not read yet."""
    return Source(path, (path,) if path.is_dir() else ())


def sources_in(path: Path) -> list[Source]:
    """The run at a path; of a sweep its rows, the base first; of a folder of runs those in it, in the order of their names.

    Raises UsageError for a folder without runs, RecordError for a damaged `sweep.json`.
    """
    if not path.is_dir() or (path / "run.json").is_file():
        return [source(path)]
    if is_sweep(path):
        return [_of_row(path, row) for row in read_sweep(path).base_first]
    inside = sorted(each.parent for each in path.glob("*/run.json"))
    if not inside:
        raise UsageError(f"{path} holds no run", f"vla-bench runs {path}, which looks further down")
    return list(map(source, inside))


def _of_row(folder: Path, row: SweepRow) -> Source:
    return Source(row_path(folder, row), tuple(folder / run.folder for run in row.runs), row)


def _of_summary(path: Path) -> Recorded:
    """What a summary says of its run; it is checked for what comparisons need, so the rest is here."""
    table = read_summary(path)
    about = {field.name: table[field.name] for field in fields(Run) if table.get(field.name) is not None}
    unknown = {"run_id": path.stem, "created": "", "assets": {}, "environment": {}, "git_commit": None}
    try:
        run = typed(unknown | about, Run)
    except ValueError as error:
        raise RecordError(f"{path} is not the summary of a run: {error}", f"vla-bench keep RUN {path}") from error
    return run, sorted(episodes_of(table), key=lambda episode: episode.key)
