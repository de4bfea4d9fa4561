"""What there is, and whether it computes what the reference computes."""

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

    found = load_suites()
    if format is Format.JSON:
        typer.echo(json.dumps(suites_dict(found)))
    else:
        print_suites(found)


@app.command()
def models(format: FormatOption = Format.HUMAN):
    """List the models that have a name and where their weights come from."""
    from vla_bench.policies import catalogue
    from vla_bench.report.listings import models_dict, print_models

    found = catalogue.models()
    if format is Format.JSON:
        typer.echo(json.dumps(models_dict(found)))
    else:
        print_models(found)


@app.command()
def pruners(format: FormatOption = Format.HUMAN):
    """List the pruners: where each acts, what it needs, its parameters and its source."""
    from vla_bench.pruners.catalogue import catalogue
    from vla_bench.report.pruners import print_pruners

    found = catalogue()
    if format is Format.JSON:
        typer.echo(json.dumps([entry.to_dict() for entry in found]))
    else:
        print_pruners(found)


@app.command()
def verify(
    fixtures: Annotated[Optional[Path], typer.Option(help="Folder of golden tensors.", show_default="the bundled set")] = None,
    format: FormatOption = Format.HUMAN,
):
    """Recompute golden tensors of the reference code on this machine.  Exits 1 on any mismatch."""
    from vla_bench.report.verdicts import print_verdict
    from vla_bench.verify.run import verify as run

    verdict = run(fixtures)
    if format is Format.JSON:
        typer.echo(json.dumps(verdict.to_dict(), allow_nan=False))
    else:
        print_verdict(verdict)
    raise typer.Exit(verdict.exit_code)
