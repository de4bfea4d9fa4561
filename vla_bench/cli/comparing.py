"""Finished runs beside each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.cli.options import Format, FormatOption


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or files of scripts/keep_run.py; the first is the base.")],
    out: Annotated[Optional[Path], typer.Option(help="The table as Markdown, too.", show_default="none")] = None,
    format: FormatOption = Format.human,
):
    """Pair runs with the first, episode by episode: differences with intervals, and what is not separated."""
    from vla_bench.records import write_atomically
    from vla_bench.report.compared import comparison_markdown, print_comparison
    from vla_bench.report.comparison import compare as paired

    rows = paired(runs)
    if out is not None:
        write_atomically(out, comparison_markdown(rows))
    if format is Format.json:
        typer.echo(json.dumps([row.to_dict() for row in rows], allow_nan=False))
    else:
        print_comparison(rows)
