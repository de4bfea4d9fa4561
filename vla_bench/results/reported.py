"""Runs as `vla-bench report` takes them: folders, summaries, and folders of runs; what cannot be read is named, not fatal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vla_bench.errors import VlaBenchError
from vla_bench.metrics import Values, group_keys
from vla_bench.results.comparison import ComparedRun, check_comparable, row, run_names
from vla_bench.results.paired_metrics import metrics_on
from vla_bench.results.pairs import COVERAGE
from vla_bench.results.sources import Source, sources_in
from vla_bench.results.units import Key, Unit, units
from vla_bench.values import Population


@dataclass(frozen=True)
class ReportedRun:
    """A run by itself.

    row: its rate, rates by suite and metrics, over all of its init states.
    suites: metrics by suite, over their queries, by key as in `vla_bench.metrics`.
    found: its init states.
    """

    source: Source
    name: str
    summary: dict
    row: ComparedRun
    suites: dict[str, Values]
    found: dict[Key, Unit]

    @property
    def folders(self) -> tuple[Path, ...]:
        """Its run folders, which have queries and films; none of a summary."""
        return self.source.folders

    @property
    def totals(self) -> Values:
        """All metrics over all queries, those of a run folder by stage, too."""
        return {key: self.summary["totals"][key] for key in group_keys() if key in self.summary["totals"]}

    @property
    def model(self) -> str:
        return str(self.summary["config"].get("model", ""))

    @property
    def policy(self) -> dict:
        """What the model said of itself; empty for a script."""
        return self.summary["config"].get("policy") or {}

    @property
    def pruner(self) -> str | None:
        """As its policy named it, "none" for the dense model; None for a script, which has no image tokens."""
        return self.policy.get("pruner")

    @property
    def device(self) -> str:
        """The machine's name for what the model ran on; empty where unknown."""
        environment = self.summary.get("environment") or {}
        return str(environment.get("gpu" if self.policy.get("device") == "cuda" else "cpu") or "")

    @property
    def errors(self) -> int:
        """Init states all of whose episodes ended in errors."""
        return sum(unit.mean is None for unit in self.found.values())

    @property
    def covered(self) -> bool:
        """Whether there are few enough errors for a verdict."""
        return self.row.ended >= COVERAGE * len(self.found)

    @property
    def pathed(self) -> tuple[Path, dict]:
        """As `vla_bench.results.comparison` takes it."""
        return self.source.path, self.summary


@dataclass(frozen=True)
class Reported:
    """left_out: what could not be read, with its error."""

    runs: tuple[ReportedRun, ...]
    left_out: tuple[tuple[Path, VlaBenchError], ...]


def read_reported(paths: Sequence[Path]) -> Reported:
    """The runs in their order; a folder of runs stands for the runs below it, in the order of their names, and the folder of a
    sweep for its rows, the base first.

    Raises UsageError for a folder without runs; the first error where no run at all can be read.
    """
    found: list[tuple[Source, dict]] = []
    left_out: list[tuple[Path, VlaBenchError]] = []
    for source in [each for given in paths for each in sources_in(given)]:
        try:
            found.append((source, source.summary()))
        except VlaBenchError as error:
            left_out.append((source.path, error))
    if not found and left_out:
        raise left_out[0][1]
    names = run_names([source.path for source, _ in found])
    runs = [_reported(name, *run) for name, run in zip(names, found, strict=True)]
    return Reported(tuple(runs), tuple(left_out))


def comparable_groups(runs: Sequence[ReportedRun]) -> list[tuple[list[ReportedRun], VlaBenchError | None]]:
    """The runs in groups, each of which can be paired with the first of its group; beside it why that cannot be paired with the
    first run of all, None for the first group."""
    groups: list[tuple[list[ReportedRun], VlaBenchError | None]] = []
    for run in runs:
        reason = None
        for members, _ in groups:
            try:
                check_comparable([members[0].pathed, run.pathed])
            except VlaBenchError as error:
                reason = reason or error
            else:
                members.append(run)
                break
        else:
            groups.append(([run], reason))
    return groups


def _reported(name: str, source: Source, summary: dict) -> ReportedRun:
    found = units(summary)
    ended = {key for key, unit in found.items() if unit.mean is not None}
    by_suite = {suite: metrics_on(summary, {key for key in ended if key.suite == suite}) for suite in summary["suites"]}
    return ReportedRun(source, name, summary, row(name, summary, found, ended, Population.INIT_STATES, 1), by_suite, found)
