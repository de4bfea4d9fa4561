"""The command that makes tables and figures of finished runs."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.errors import UsageError


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, summaries (`vla-bench keep`), or folders of runs.")],
    out: Annotated[
        Optional[Path], typer.Option(help="Folder for report.md, report.tex, tables/ and figures/.", show_default="none")
    ] = None,
    html: Annotated[
        Optional[Path], typer.Option(help="File for one page with findings, tables, plot and episodes.", show_default="none")
    ] = None,
    paper: Annotated[
        bool, typer.Option("--paper", help="The paper's rows beside ours, with notes on their contradictions.")
    ] = False,
    latency: Annotated[
        Optional[list[Path]], typer.Option(help="File of `vla-bench latency --out`; repeatable.", show_default="none")
    ] = None,
):
    """Write the tables and figures of runs for a paper (Markdown, CSV, LaTeX; PDF, SVG, PNG), or one HTML page of them."""
    from vla_bench.report.page.page import write_page
    from vla_bench.report.parts import report_parts
    from vla_bench.report.report_files import write_report
    from vla_bench.report.timing_tables import read_timings
    from vla_bench.results.reported import read_reported

    if out is None and html is None:
        raise UsageError(
            "report takes --out, --html or both", f"vla-bench report {shlex.join(map(str, runs))} --html report.html"
        )
    command = shlex.join(["vla-bench", *sys.argv[1:]])
    reported, timed = read_reported(runs), read_timings(latency or [])
    parts = report_parts(reported, timed, paper)
    if out is not None:
        write_report(out, parts, command)
    if html is not None:
        write_page(html, reported.runs, parts, command)
    for part in parts:
        for what in part.missing:
            typer.echo(f"missing: {what}", err=True)
    if out is not None:
        tables, figures = (sum(len(each) for each in kind) for kind in zip(*((p.tables, p.figures) for p in parts), strict=True))
        typer.echo(f"{out / 'report.md'}: {tables} tables, {figures} figures")
    if html is not None:
        typer.echo(f"{html}: {html.stat().st_size / 1e6:.1f} MB")
    if code := next((part.exit_code for part in parts if part.exit_code), 0):
        raise typer.Exit(code)
