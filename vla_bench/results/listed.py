"""The runs below a folder, one row each: what they ran, how far they came, and their success rate.  Damage is a row, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vla_bench.errors import DamagedRunError, VlaBenchError
from vla_bench.results.found import find_runs
from vla_bench.results.sources import Source
from vla_bench.results.sweep_file import read_sweep
from vla_bench.results.units import planned_units, rate_of, units_of
from vla_bench.stats import Rate
from vla_bench.values import ListedStatus, Order, RunKind

NO_RATE = Rate(0, 0, None, None, None)


@dataclass(frozen=True)
class ListedRun:
    """A run, or a sweep with its rows together.

    created: ISO 8601, in UTC; empty where unknown.  planned: init states, None where unknown.  errors: init states all of whose
    episodes ended in errors.  problem: why it cannot be read; then nothing else is known.
    """

    path: Path
    kind: RunKind
    status: ListedStatus
    model: str = ""
    pruner: str = ""
    suites: tuple[str, ...] = ()
    rate: Rate = NO_RATE
    planned: int | None = None
    errors: int = 0
    created: str = ""
    problem: VlaBenchError | None = None

    def to_dict(self) -> dict[str, object]:
        """The rate and its interval are fractions, n counts init states."""
        problem = None if self.problem is None else {"message": self.problem.message, "fix": self.problem.fix}
        about = {"path": str(self.path), "kind": self.kind.value, "status": self.status.value, "model": self.model}
        about |= {"pruner": self.pruner, "suites": list(self.suites), "n": self.rate.n, "planned": self.planned}
        about |= {"rate": self.rate.rate, "rate_low": self.rate.low, "rate_high": self.rate.high}
        return about | {"errors": self.errors, "created": self.created, "problem": problem}


def list_runs(
    paths: Sequence[Path], statuses: Sequence[ListedStatus] = (), order: Order = Order.PATH
) -> tuple[list[ListedRun], list[str]]:
    """Every run, summary and sweep below these folders; and what was not looked at.

    statuses: those to list; all where empty.  Raises RecordError for a path that does not exist, and nothing for a damaged run.
    """
    found = find_runs(paths)
    rows = [_row(each) for each in found.runs.values()]
    rows += [_sweep(folder, [row for row in rows if folder in row.path.parents]) for folder in found.sweeps]
    rows = sorted((row for row in rows if not statuses or row.status in statuses), key=lambda row: row.path)
    if order is Order.DATE:
        rows.sort(key=lambda row: row.created, reverse=True)
    elif order is Order.RATE:
        rows.sort(key=lambda row: -1.0 if row.rate.rate is None else row.rate.rate, reverse=True)
    elif order is Order.N:
        rows.sort(key=lambda row: row.rate.n, reverse=True)
    return rows, found.notes


def _row(source: Source) -> ListedRun:
    kind = RunKind.RUN if source.folders else RunKind.SUMMARY
    try:
        run, episodes = source.read()
    except VlaBenchError as error:
        return _problem(source.path, kind, error)
    ended, planned = units_of(episodes), planned_units(run.planned)
    return ListedRun(
        path=source.path,
        kind=kind,
        status=ListedStatus(run.status),
        model=run.model,
        pruner=run.pruner or "",
        suites=tuple(run.suites),
        rate=rate_of(ended.values()),
        planned=None if planned is None else len(planned),
        errors=sum(unit.mean is None for unit in ended.values()),
        created=run.created,
    )


def _sweep(folder: Path, runs: Sequence[ListedRun]) -> ListedRun:
    """A sweep is complete when the runs of all its rows are."""
    try:
        sweep = read_sweep(folder)
    except VlaBenchError as error:
        return _problem(folder, RunKind.SWEEP, error)
    begun = sum(bool(row.runs) for row in sweep.rows)
    states = [run.status for run in runs]
    unfinished = next((state for state in states if state is not ListedStatus.COMPLETE), None)
    return ListedRun(
        path=folder,
        kind=RunKind.SWEEP,
        status=unfinished or (ListedStatus.COMPLETE if begun == len(sweep.rows) else ListedStatus.INTERRUPTED),
        model=", ".join(dict.fromkeys(row.model for row in sweep.rows)),
        pruner=f"{begun} of {len(sweep.rows)} rows",
        suites=tuple(dict.fromkeys(suite for run in runs for suite in run.suites)),
        created=min((run.created for run in runs if run.created), default=""),
    )


def _problem(path: Path, kind: RunKind, error: VlaBenchError) -> ListedRun:
    status = ListedStatus.DAMAGED if isinstance(error, DamagedRunError) else ListedStatus.UNREADABLE
    return ListedRun(path, kind, status, problem=error)
