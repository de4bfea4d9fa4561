"""The command that looks for damage: of this installation, or of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.cli.options import Assets, Format, FormatOption, Suites


@app.command()
def doctor(
    run: Annotated[
        Optional[Path], typer.Argument(help="Run folder or summary to look at, instead of this machine.", show_default=False)
    ] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Set damaged lines of the run aside; nothing is deleted.")] = False,
    model: Annotated[Optional[str], typer.Option(help="Checkpoint to look at, too.", show_default="none")] = None,
    suite: Suites = "all",
    assets: Assets = "auto",
    format: FormatOption = Format.HUMAN,
):
    """Check this machine: exit 6 where something fails.  With a RUN, its files: exit 4 where they are damaged."""
    if run is not None:
        raise typer.Exit(_look_at(run, repair, format))
    if repair:
        from vla_bench.errors import UsageError

        raise UsageError("--repair is for a run", "vla-bench doctor RUN --repair")
    from vla_bench.doctor.case import Case
    from vla_bench.doctor.checkup import check_up
    from vla_bench.report.checkup import print_checkup

    found = check_up(Case(suite, assets, model))
    if format is Format.JSON:
        typer.echo(json.dumps(found.to_dict()))
    else:
        print_checkup(found)
    raise typer.Exit(found.exit_code)


def _look_at(run: Path, mend: bool, format: Format) -> int:
    from vla_bench.doctor.repair import Repair, repair
    from vla_bench.doctor.run_files import examine
    from vla_bench.report.checkup import print_examination, print_repair

    found = repair(run) if mend else examine(run)
    if format is Format.JSON:
        typer.echo(json.dumps(found.to_dict()))
    elif isinstance(found, Repair):
        print_repair(found)
    else:
        print_examination(found)
    return found.exit_code
