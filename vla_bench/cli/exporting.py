"""The command that writes a run as the result files of other harnesses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.cli.app import app
from vla_bench.terminal import show
from vla_bench.values import Harness


@app.command()
def export(
    runs: Annotated[list[Path], typer.Argument(help="Run folder or summary; or several parts of one run: suites, shards.")],
    format: Annotated[Harness, typer.Option("--format", help="Whose files: lerobot-eval's, vla-eval's or Inspect AI's.")],
    out: Annotated[Path, typer.Option(help="Folder for the files; their names are the harness's.")],
    partial: Annotated[bool, typer.Option("--partial", help="Accept that planned episodes are missing, and say so.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
):
    """Write a run as the result files of another harness."""
    from vla_bench.report.harnesses.files import write_harness_files
    from vla_bench.report.harnesses.source_run import source_run

    source = source_run(runs, partial)
    for path in write_harness_files(format, source, out, force):
        show(path)
