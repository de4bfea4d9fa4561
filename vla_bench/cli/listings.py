"""Commands that list suites, asset packs, models and pruners, and `verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.cli.options import Format, FormatOption


@app.command()
def suites(format: FormatOption = Format.HUMAN):
    """List the LIBERO suites and the protocol each is evaluated with."""
    from vla_bench.report.listings import print_suites, suites_dict
    from vla_bench.suites import load_suites

    all_suites = load_suites()
    if format is Format.JSON:
        typer.echo(json.dumps(suites_dict(all_suites)))
    else:
        print_suites(all_suites)


@app.command()
def assets(format: FormatOption = Format.HUMAN):
    """List the asset packs: where each is from, whether its files are LIBERO's own, and how to get it."""
    from vla_bench.report.packs import print_packs
    from vla_bench.world.installed import installed

    rows, auto = installed()
    if format is Format.JSON:
        typer.echo(json.dumps({"packs": [row.to_dict() for row in rows], "auto": auto}))
    else:
        print_packs(rows, auto)


@app.command()
def models(format: FormatOption = Format.HUMAN):
    """List named models and where their weights come from."""
    from vla_bench.policies import catalogue
    from vla_bench.report.listings import models_dict, print_models

    known = catalogue.models()
    if format is Format.JSON:
        typer.echo(json.dumps(models_dict(known)))
    else:
        print_models(known)


@app.command()
def pruners(format: FormatOption = Format.HUMAN):
    """List the pruners: where each acts, what it needs, its parameters and its source."""
    from vla_bench.pruners.catalogue import catalogue
    from vla_bench.report.pruners import print_pruners

    entries = catalogue()
    if format is Format.JSON:
        typer.echo(json.dumps([entry.to_dict() for entry in entries]))
    else:
        print_pruners(entries)


@app.command()
def verify(
    fixtures: Annotated[Optional[Path], typer.Option(help="Folder of golden tensors.", show_default="the bundled set")] = None,
    format: FormatOption = Format.HUMAN,
):
    """Recompute golden tensors of the reference code on this machine.  Exits 1 on any mismatch."""
    from vla_bench.report.verdicts import print_report
    from vla_bench.verify.run import verify as run

    report = run(fixtures)
    if format is Format.JSON:
        typer.echo(json.dumps(report.to_dict(), allow_nan=False))
    else:
        print_report(report)
    raise typer.Exit(report.exit_code)
