"""`vla-bench sweep`: several models and pruners on the same episodes, each paired with the base."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vla_bench.errors import ExitCode, NotComparableError, VlaBenchError
from vla_bench.folders import OutputFolder
from vla_bench.results.comparison import ComparedRun, check_comparable, compare_runs
from vla_bench.results.sweep_file import RowRun, SweepFile, SweepRow, is_sweep, read_sweep, row_path, row_summary, write_sweep
from vla_bench.rollout.evaluate import evaluate
from vla_bench.rollout.request import EvalRequest
from vla_bench.rollout.sweep_definition import Sweep
from vla_bench.rollout.sweep_plan import Job, numbered, plan_sweep
from vla_bench.rollout.sweep_progress import SweepObserver

SWEEPS = Path("results/sweeps")


@dataclass(frozen=True)
class SweepResult:
    """What a sweep has so far.

    rows: of this sweep those with episodes that ended, the base first, each on its pairs with the base; none before there are
        two of them.
    left_out: rows that cannot be paired with the base, with the reason.
    """

    folder: Path
    file: SweepFile
    rows: list[ComparedRun]
    left_out: list[tuple[str, VlaBenchError]]
    exit_code: int
    command: str

    def to_dict(self) -> dict[str, object]:
        left_out = [{"name": name, "why": error.message} for name, error in self.left_out]
        about = {"folder": str(self.folder), "title": self.file.title, "base": self.file.base}
        return about | {"rows": [row.to_dict() for row in self.rows], "left_out": left_out}


def run_sweep(sweep: Sweep, request: EvalRequest, observer: SweepObserver | None = None, only: Sequence[str] = ()) -> SweepResult:
    """Run every row, or those named in `only`, that is not recorded yet; an interruption ends the rest.

    request: what all rows have in common; `request.out` is the folder of the sweep.  Raises VlaBenchError; everything finished by
    then is recorded.
    """
    observer = observer or SweepObserver()
    jobs = plan_sweep(sweep, request, only)
    out = request.out or default_folder(sweep, request)
    folder = OutputFolder(out)
    try:
        file = _joined(out, sweep, request.command)
        write_sweep(out, file)
        rows = len({job.row.name for job in jobs})
        observer.begin(f"{sweep.title}\n{rows} rows -> {out}", sum(job.episodes for job in jobs))
        worst: int = ExitCode.DONE
        for job in jobs:
            asked = replace(numbered(job, out, file), out=out / job.folder)
            file = _with_run(file, job, asked.pruner if job.row.pruner is not None else None)
            write_sweep(out, file)
            try:
                code = evaluate(asked, observer.of_run(job.folder)).exit_code
            except NotComparableError as error:  # a run that was there before; one row started over would be of other numbers
                raise NotComparableError(error.message, instead={"--out": f"{out}-2"}) from error
            worst = code or worst
            if code == ExitCode.INTERRUPTED:
                break
    finally:
        observer.end()
        folder.close()
    asked_rows = {row.name for row in sweep.rows}
    compared, left_out = compare_rows(out, replace(file, rows=tuple(row for row in file.rows if row.name in asked_rows)))
    return SweepResult(out, file, compared, left_out, worst, request.command)


def default_folder(sweep: Sweep, request: EvalRequest) -> Path:
    """The same for the same sweep, model, suites and assets, so that repeating a command resumes it."""
    words = (
        sweep.name,
        sweep.rows[0].model,
        request.suite,
        *([] if request.assets == "auto" else [request.assets]),
        request.shard,
    )
    return SWEEPS / re.sub(r"[^\w.-]+", "-", "-".join(filter(None, words))).strip("-.")


def compare_rows(folder: Path, file: SweepFile) -> tuple[list[ComparedRun], list[tuple[str, VlaBenchError]]]:
    """The rows that have begun, on their pairs with the base; and those that cannot be paired with it."""
    found: list[tuple[str, Path, dict]] = []
    left_out: list[tuple[str, VlaBenchError]] = []
    for row in file.base_first:
        runs = [run for run in row.runs if (folder / run.folder / "run.json").is_file()]
        if not runs:
            continue
        try:
            own = (row.name, row_path(folder, row), row_summary(folder, replace(row, runs=tuple(runs))))
            if found:
                check_comparable([found[0][1:], own[1:]])
        except VlaBenchError as error:
            left_out.append((row.name, error))
        else:
            found.append(own)
    if len(found) < 2 or found[0][0] != file.base:
        return [], left_out
    compared = compare_runs([(path, summary) for _, path, summary in found])
    return [replace(row, name=name) for row, (name, *_) in zip(compared, found, strict=True)], left_out


def _joined(folder: Path, sweep: Sweep, command: str) -> SweepFile:
    """The file of the sweep; rows that the folder has from before stay.  Raises NotComparableError for a row that is another."""
    asked = [SweepRow(row.name, row.model, row.pruner) for row in sweep.rows]
    before = read_sweep(folder).rows if is_sweep(folder) else ()
    known = {row.name: row for row in before}
    for row in asked:
        if (old := known.get(row.name)) is not None and (old.model, old.pruner) != (row.model, row.pruner):
            what = f"{folder} has a row {row.name} of {old.model} with {old.pruner}, not of {row.model} with {row.pruner}"
            raise NotComparableError(what, "choose another folder with --out, or give the row another name")
    rows = [known.get(row.name, row) for row in asked] + [row for row in before if row.name not in {own.name for own in asked}]
    return SweepFile(sweep.title, command, sweep.base, tuple(rows))


def _with_run(file: SweepFile, job: Job, pruner: str | None) -> SweepFile:
    row = file.row(job.row.name)
    runs = [run for run in row.runs if run.folder != job.folder]
    return file.with_row(replace(row, runs=(*runs, RowRun(job.folder, job.suites, pruner))))
