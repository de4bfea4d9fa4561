"""Commands that look at finished and unfinished runs, and at the paper's tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.cli.options import Format, FormatOption, ListFormat
from vla_bench.terminal import visible
from vla_bench.values import ListedStatus, Order, TextFormat


@app.command()
def runs(
    folders: Annotated[
        Optional[list[Path]], typer.Argument(metavar="DIR", help="Folders to look through.", show_default="results")
    ] = None,
    status: Annotated[
        Optional[list[ListedStatus]], typer.Option(help="List runs with this status; repeatable.", show_default="all")
    ] = None,
    sort: Annotated[Order, typer.Option(help="date: the newest first; rate, n: the highest first.")] = Order.PATH,
    format: Annotated[ListFormat, typer.Option(help="A table, one JSON object, or CSV.")] = ListFormat.HUMAN,
):
    """List run folders, summaries and sweeps: what each ran, n, success rate, status and date."""
    from vla_bench.report.runs_table import print_runs, runs_csv
    from vla_bench.results.listed import list_runs

    rows, notes = list_runs(folders or [Path("results")], status or (), sort)
    if format is ListFormat.JSON:
        typer.echo(json.dumps({"runs": [row.to_dict() for row in rows], "not_looked_at": notes}, allow_nan=False))
    elif format is ListFormat.CSV:
        typer.echo(visible(runs_csv(rows)), nl=False)
    else:
        print_runs(rows, notes)


@app.command()
def show(
    run: Annotated[Path, typer.Argument(help="Run folder or summary.")],
    episode: Annotated[
        Optional[str], typer.Option(help="One episode, as long-t8-i00: its record and image tokens.", show_default="none")
    ] = None,
    format: FormatOption = Format.HUMAN,
):
    """Show one run: configuration, environment, rates by task, errors by cause, films, and the command that resumes it."""
    from vla_bench.report.shown_episode import episode_dict, print_episode
    from vla_bench.report.shown_run import print_run
    from vla_bench.results.whole_run import whole_run

    whole = whole_run(run)
    if episode is not None:
        found = whole.episode(episode)
        typer.echo(json.dumps(episode_dict(*found), allow_nan=False)) if format is Format.JSON else print_episode(whole, *found)
    elif format is Format.JSON:
        typer.echo(json.dumps(whole.to_dict(), allow_nan=False))
    else:
        print_run(whole)


@app.command()
def paper(
    tables: Annotated[
        Optional[list[str]], typer.Argument(metavar="TABLE", help="I to V, or 1 to 5.", show_default="all five")
    ] = None,
    format: Annotated[TextFormat, typer.Option(help="What standard output shows.")] = TextFormat.HUMAN,
):
    """Print the tables of the LightVLA paper, with notes on where they contradict each other."""
    from vla_bench.report.paper_tables import as_text, paper_tables, print_paper

    chosen = paper_tables(tables or ())
    print_paper(chosen) if format is TextFormat.HUMAN else typer.echo(as_text(chosen, format), nl=False)
