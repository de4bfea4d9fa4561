"""Commands that keep and compare finished runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.cli.options import PopulationOption
from vla_bench.terminal import show
from vla_bench.values import By, Population, TextFormat


@app.command()
def keep(
    runs: Annotated[list[Path], typer.Argument(help="Run folder; or several parts of one run: suites, shards or tasks.")],
    out: Annotated[Path, typer.Argument(help="JSON file to write.")],
    suite: Annotated[Optional[str], typer.Option(help="Suites to keep.", show_default="all of the run")] = None,
    tasks: Annotated[Optional[str], typer.Option(help="Tasks to keep (0,3 or 0-4).", show_default="all of the run")] = None,
    init_states: Annotated[
        Optional[str], typer.Option(help="Init states to keep (0-9); all must be there.", show_default="all of the run")
    ] = None,
):
    """Write the summary of a run, small enough to commit: command, configuration, totals, and the outcome of every episode."""
    from vla_bench.results.merge import merge
    from vla_bench.results.summary_file import part_of, summary_of, write_summary
    from vla_bench.rollout.selection import select
    from vla_bench.suites import load_suites

    run, episodes = merge(runs)
    part = {"suite": suite, "init_states": init_states} | ({"tasks": tasks} if tasks else {})
    table: dict = {}
    if any(part.values()):
        keys = select(load_suites(suite or ",".join(run.suites)), tasks, init_states, None)
        (run, episodes), table = (
            part_of(run, episodes, keys, every=init_states is not None),
            {"command": run.command, "kept": part},
        )
    write_summary(out, table | summary_of(run, episodes))
    show(f"{out}: {len(episodes)} episodes, {out.stat().st_size / 1e3:.0f} kB")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders or summaries (`vla-bench keep`); the first is the baseline.")],
    by: Annotated[
        Optional[By],
        typer.Option(help="A row for every suite, task or axis of change, not one a run.", show_default="none"),
    ] = None,
    population: PopulationOption = Population.INIT_STATES,
    out: Annotated[
        Optional[Path], typer.Option(help="File for the comparison: .md, .tex, .csv or .json.", show_default="none")
    ] = None,
    format: Annotated[TextFormat, typer.Option(help="What standard output shows; human: tables and plots.")] = TextFormat.HUMAN,
):
    """Pair runs with the first, init state by init state: differences with intervals, and what is not separated."""
    from vla_bench.records import make_room, write_atomically
    from vla_bench.report.compared import print_comparison
    from vla_bench.report.exported import exported, format_of
    from vla_bench.results.comparison import compare_runs, read_comparable
    from vla_bench.results.parts import compare_parts

    form = None if out is None else format_of(out)
    summaries = list(zip(runs, read_comparable(runs), strict=True))
    if by is By.AXIS:
        return _compare_axes(summaries, population, out, form, format)
    rows = compare_runs(summaries, population)
    parts = [] if by is None else compare_parts(summaries, by, population)
    if out is not None and form is not None:
        make_room(out)
        write_atomically(out, exported(form, rows, parts, by))
    if format is TextFormat.HUMAN:
        print_comparison(rows, parts, by)
    else:
        typer.echo(exported(format, rows, parts, by), nl=False)


def _compare_axes(summaries, population: Population, out: Optional[Path], form: Optional[TextFormat], format: TextFormat):
    from vla_bench.records import make_room, write_atomically
    from vla_bench.report.axes import exported_axes, print_axes
    from vla_bench.results.axis_comparison import compare_axes

    found = compare_axes(summaries, population)
    if out is not None and form is not None:
        make_room(out)
        write_atomically(out, exported_axes(form, *found))
    if format is TextFormat.HUMAN:
        print_axes(*found)
    else:
        typer.echo(exported_axes(format, *found), nl=False)
