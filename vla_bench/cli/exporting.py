"""Commands that write runs as other harnesses' files, and models for other runtimes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli import completion
from vla_bench.cli.app import app
from vla_bench.cli.options import MODEL_ONLY_HELP, PRUNER_TEXT_HELP, Format, FormatOption, Suites
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


@app.command("export-onnx")
def export_onnx(
    out: Annotated[Path, typer.Option(help="The file; one that exists is never replaced.")],
    model: Annotated[str, typer.Option(help=MODEL_ONLY_HELP, autocompletion=completion.models)] = "nano",
    pruner: Annotated[
        Optional[str], typer.Option(help=PRUNER_TEXT_HELP, autocompletion=completion.pruners, show_default="the checkpoint's")
    ] = None,
    suite: Suites = "all",
    format: FormatOption = Format.HUMAN,
):
    """Write a whole query, pruning included, as one ONNX file; ONNX Runtime must answer as PyTorch does, or there is no file."""
    from vla_bench.export.onnx_file import ExportRequest
    from vla_bench.export.onnx_file import export_onnx as run

    made = run(ExportRequest(model, out, pruner, suite))
    if format is Format.JSON:
        typer.echo(json.dumps(made.to_dict(), allow_nan=False))
        return
    typer.echo(f"{made.file}: {made.model} with pruner {made.pruner}, {made.bytes / 1e6:.1f} MB, opset {made.opset}")
    kept = f"{min(made.kept)} to {max(made.kept)} image tokens kept"
    typer.echo(f"equal to PyTorch within {made.difference:.1e} in {made.queries} queries of unequal lengths, {kept}")
