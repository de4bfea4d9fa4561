"""The parts of a report: which tables and figures runs give, and for what they cannot give the reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from vla_bench.errors import ExitCode, UsageError, VlaBenchError
from vla_bench.report.ablation_tables import ABLATIONS, ablation_table
from vla_bench.report.axis_tables import drop_table, more_table
from vla_bench.report.comparison_tables import compared, difference_tables, task_table
from vla_bench.report.cost_table import cost_table
from vla_bench.report.figure import Figure
from vla_bench.report.figure_axes import axes_figure
from vla_bench.report.figure_forest import run_forest, task_forests
from vla_bench.report.figure_kept import kept_figure
from vla_bench.report.figure_rates import rates_figure
from vla_bench.report.figure_stages import run_stages, timed_stages
from vla_bench.report.figure_success import success_figure
from vla_bench.report.figure_token_use import concentration_rows, concentration_table, use_figure
from vla_bench.report.pictures import mean_pictures
from vla_bench.report.report_table import ReportTable
from vla_bench.report.success_table import success_table
from vla_bench.report.timing_tables import TimedVariant, timing_table
from vla_bench.results.axes import axis_drops
from vla_bench.results.axis_comparison import BOTH, compare_axes
from vla_bench.results.reported import Reported, ReportedRun, comparable_groups
from vla_bench.results.token_use import TokenUse, camera_names, token_use


@dataclass
class Part:
    """missing: what would stand here, and why it does not.  exit_code: of what is missing, where it was to be expected."""

    heading: str
    tables: list[ReportTable] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    exit_code: int = ExitCode.DONE

    def add(self, made: Figure | ReportTable | None, otherwise: str) -> None:
        """A table or a figure; where there is none the reason."""
        if made is None:
            self.missing.append(otherwise)
        elif isinstance(made, Figure):
            self.figures.append(made)
        else:
            self.tables.append(made)


def report_parts(reported: Reported, timed: Sequence[TimedVariant] = (), with_paper: bool = False) -> list[Part]:
    """In the order of a report.  Raises nothing that concerns one run alone: that is said in the part."""
    runs = reported.runs
    return [
        _success(reported, with_paper),
        _cost(runs, timed, with_paper),
        _differences(runs),
        *_changes(runs),
        _ablations(runs, with_paper),
        _tokens(runs),
        Part("Success by task", [task_table(runs)]),
    ]


def _success(reported: Reported, with_paper: bool) -> Part:
    part = Part("Success by suite", [success_table(reported.runs, with_paper)])
    for path, error in reported.left_out:
        part.missing.append(f"{path} is left out: {error.message}")
        part.exit_code = part.exit_code or error.exit_code
    if not all(run.covered for run in reported.runs):
        part.exit_code = part.exit_code or ExitCode.ERROR_BUDGET
    part.add(success_figure(reported.runs), "success against cost: no run has both a rate and image tokens")
    if (rates := rates_figure(reported.runs)) is not None:
        part.figures.append(rates)
    return part


def _cost(runs: Sequence[ReportedRun], timed: Sequence[TimedVariant], with_paper: bool) -> Part:
    part = Part("Cost of a query")
    models = [run for run in runs if run.pruner is not None]
    part.add(cost_table(runs, with_paper) if models or with_paper else None, "cost: no run is of a model")
    part.add(
        run_stages(runs),
        "milliseconds by stage: run folders of models have them (vla-bench report results/runs/RUN --out DIR)",
    )
    if timed:
        part.tables.append(timing_table(timed))
    part.add(
        timed_stages(timed), "measured latency: none was given (vla-bench latency --out FILE.json, then --latency FILE.json)"
    )
    return part


def _differences(runs: Sequence[ReportedRun]) -> Part:
    part = Part("Differences between runs")
    groups = comparable_groups(runs)
    for place, (group, reason) in enumerate(groups, 1):
        if reason is not None:
            names = ", ".join(run.name for run in group)
            part.missing.append(f"{names} against {runs[0].name}: {reason.message}")
            part.exit_code = part.exit_code or reason.exit_code
        if len(group) > 1:
            suffix = f"-{place}" if len(groups) > 1 else ""
            found = compared(group)
            part.tables += difference_tables(found, suffix)
            part.add(run_forest(found, suffix), f"forest plot against {found.base}: no pair ended without an error")
            part.figures += task_forests(found, suffix)
    if len(runs) == 1:
        part.missing.append("differences take two runs or more")
    return part


def _changes(runs: Sequence[ReportedRun]) -> list[Part]:
    """Of the runs that have changed suites; no part where none has."""
    changed = [run for run in runs if any(suite.get("axis") for suite in run.summary["suites"].values())]
    if not changed:
        return []
    part = Part("Success under change")
    drops = [drop for run in changed for drop in axis_drops(run.name, run.summary, run.found)]
    part.add(drop_table(drops) if drops else None, f"drops: no run has a changed suite and its original ({BOTH})")
    part.add(axes_figure(drops), "drop by axis: no run has a drop")
    groups = [group for group, _ in comparable_groups(changed) if len(group) > 1]
    for place, group in enumerate(groups, 1):
        try:
            _, compared = compare_axes([run.pathed for run in group])
        except UsageError as error:
            part.missing.append(f"{', '.join(run.name for run in group)}: {error.message}")
        else:
            part.tables.append(more_table(compared, f"-{place}" if len(groups) > 1 else ""))
    return [part]


def _ablations(runs: Sequence[ReportedRun], with_paper: bool) -> Part:
    part = Part("Ablations")
    for each in ABLATIONS:
        missing = f"{each.title} (the paper's Table {each.number}): no run is a variant ({each.command})"
        part.add(ablation_table(each, runs, with_paper), missing)
    return part


def _tokens(runs: Sequence[ReportedRun]) -> Part:
    """Of the run folders, whose queries are recorded."""
    part = Part("Image tokens kept")
    found: dict[str, TokenUse] = {}
    for run in runs:
        if run.pruner is None:
            continue
        if not run.folders:
            part.missing.append(f"{run.name} is a summary, without its queries: give the run folder")
            continue
        try:
            use = token_use(run.source, run.policy.get("visual_tokens"))
        except VlaBenchError as error:
            part.missing.append(f"{run.name}: {error.message}")
            part.exit_code = part.exit_code or error.exit_code
            continue
        if use.passes:
            found[run.name] = use
        else:
            part.missing.append(f"{run.name}: no query of it is recorded with its image tokens")
    part.add(kept_figure(found), "image tokens over an episode: no run has them")
    _add_use(part, [run for run in runs if run.name in found], found)
    return part


def _add_use(part: Part, runs: Sequence[ReportedRun], found: dict[str, TokenUse]) -> None:
    rows = []
    for place, run in enumerate(runs, 1):
        use = found[run.name]
        if not use.traced:
            part.missing.append(f"{run.name}: its queries do not say which patches were kept, as in version 0.1")
            continue
        if all(min(kept) == len(use.used[0]) for kept in use.kept_by_camera):
            part.missing.append(f"{run.name} keeps every patch: there is no map of it")
            continue
        cameras = camera_names(next(iter(run.summary["suites"].values()), {}), len(use.used))
        rows += concentration_rows(run.name, use, cameras)
        assets = str((run.summary.get("assets") or {}).get("name"))
        crop = run.policy.get("center_crop") is not False
        pictures = mean_pictures(run.folders, assets, list(run.row.suites), cameras, crop)
        part.add(use_figure(run.name, place, use, cameras, *pictures), f"{run.name}: its patches form no square to draw")
    if rows:
        part.tables.append(concentration_table(rows))
