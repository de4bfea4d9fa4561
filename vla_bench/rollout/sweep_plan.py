"""The plan of a sweep: every row is checked completely, before the first episode of any."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vla_bench.errors import NotComparableError, UsageError, nearest
from vla_bench.policies.resolve import AUTO, resolve_model
from vla_bench.pruners.registry import canonical
from vla_bench.results.summary_file import read_summary
from vla_bench.results.sweep_file import SweepFile, SweepRow, row_summary
from vla_bench.rollout.matching import matched, with_numbers
from vla_bench.rollout.plan import outline
from vla_bench.rollout.request import EvalRequest
from vla_bench.rollout.sweep_definition import Row, Sweep
from vla_bench.suites import load_suites


@dataclass(frozen=True)
class Job:
    """One run of a row.  request: its pruner may still say `match:RUN`.  episodes: how many were asked for."""

    row: Row
    folder: str
    suites: tuple[str, ...]
    request: EvalRequest
    episodes: int


def plan_sweep(sweep: Sweep, request: EvalRequest, only: Sequence[str] = ()) -> list[Job]:
    """The runs of the rows, or of those named in `only`, in their order.

    request: what all rows have in common.  Raises VlaBenchError for a row that cannot run.
    """
    names = [row.name for row in sweep.rows]
    if unknown := [name for name in only if name not in names]:
        raise UsageError(f'no row "{unknown[0]}".{nearest(unknown[0], names)} Rows: {", ".join(names)}', "vla-bench sweep --help")
    jobs = []
    for place, row in enumerate(sweep.rows):
        _check_matches(row, names[:place], request)
        if not only or row.name in only:
            jobs += _jobs(row, request)
    return jobs


def _jobs(row: Row, request: EvalRequest) -> list[Job]:
    """One, or one a suite where the pruner or the checkpoint differs from suite to suite."""
    suites = tuple(suite.name for suite in load_suites(request.suite, request.frozen_fixtures))
    by_suite = bool(matched(row.pruner)) or (row.model != AUTO and bool(resolve_model(row.model, suites=suites).by_suite))
    groups = [(f"{row.folder}-{suite}", (suite,)) for suite in suites] if by_suite else [(row.folder, suites)]
    jobs = []
    for folder, own in groups:
        asked = replace(request, suite=",".join(own), model=row.model, pruner=row.pruner, **row.options)
        spelling = None if row.pruner is None else with_numbers(row.pruner, lambda run: 2)
        if spelling is not None:
            canonical(spelling)
        jobs.append(Job(row, folder, own, asked, len(outline(replace(asked, pruner=spelling)).episodes)))
    return jobs


def _check_matches(row: Row, before: Sequence[str], request: EvalRequest) -> None:
    for run in matched(row.pruner):
        if run in before and request.shard is not None:
            what = f"{row.name} has as many tokens as {run} keeps, of which this machine has one shard"
            raise UsageError(what, "keep=match:RUN with a finished run of all shards, or --only ROW in place of --shard")
        if run not in before and not Path(run).exists():
            what = f"{row.name}: match:{run} is neither a row before it nor a run.{nearest(run, list(before))}"
            raise UsageError(f"{what} Rows before it: {', '.join(before) or 'none'}", "keep=match:results/runs/RUN")


def numbered(job: Job, folder: Path, file: SweepFile) -> EvalRequest:
    """The request of a job, with numbers in place of `match:RUN`; those that were found before stay.

    Raises NotComparableError for a run that is not complete, or that lacks the suite; UsageError for one without image tokens.
    """
    if not matched(job.row.pruner):
        return job.request
    known = file.row(job.row.name)
    before = next((run.pruner for run in known.runs if run.folder == job.folder), None) if known else None
    return replace(job.request, pruner=before or with_numbers(job.row.pruner, lambda run: _kept(run, job, folder, file)))


def _kept(run: str, job: Job, folder: Path, file: SweepFile) -> float:
    """Image tokens that a run kept in the job's suite, mean over queries."""
    row: SweepRow | None = file.row(run)
    summary = read_summary(Path(run)) if row is None else row_summary(folder, row)
    (suite,) = job.suites
    group = summary["totals"]["suites"].get(suite)
    if summary["status"] != "complete" or group is None:
        what = "has no episode of this suite" if group is None else f"is not complete but {summary['status']}"
        raise NotComparableError(
            f"{job.row.name} in {suite} takes the number of image tokens of {run}, which {what}",
            "the command of that run again: it resumes",
        )
    if group["kept_tokens_mean"] is None:
        raise UsageError(f"{run} has no image tokens to match: it is no model", "keep=match:RUN with the run of a model")
    return group["kept_tokens_mean"]
