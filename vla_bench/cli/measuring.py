"""Commands that measure a query's FLOPs, latency and agreement; no simulator."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli import completion
from vla_bench.cli.app import app
from vla_bench.cli.options import MODEL_ONLY_HELP, PRUNER_TEXT_HELP, DeviceOption, Format, FormatOption, Suites, TableFormat
from vla_bench.values import Counter, Device, Scope


@app.command()
def flops(
    model: Annotated[
        Optional[str],
        typer.Option(help="7b, nano, a bundled model or a checkpoint folder.", show_default="7b; with --from-run the run's"),
    ] = None,
    pruner: Annotated[
        Optional[str],
        typer.Option(
            help=PRUNER_TEXT_HELP,
            autocompletion=completion.pruners,
            show_default="all, at the paper's settings; with --from-run the run's",
        ),
    ] = None,
    kept: Annotated[
        Optional[str],
        typer.Option(help="Image tokens after pruning; after several cuts as 300/200/110.", show_default="by the pruner"),
    ] = None,
    from_run: Annotated[Optional[Path], typer.Option(help="Run folder: mean over its queries, each with its own tokens.")] = None,
    prompt_tokens: Annotated[
        Optional[int], typer.Option(help="Instruction length in tokens.", show_default="28, LIBERO's mean")
    ] = None,
    scope: Annotated[Scope, typer.Option(help="Parts of the model to count; see --explain.")] = Scope.MODEL,
    counter: Annotated[Counter, typer.Option(help="Closed form, or the model's operators counted by a library.")] = (
        Counter.CLOSED_FORM
    ),
    explain: Annotated[bool, typer.Option("--explain", help="Print the formula with this case's numbers.")] = False,
    format: Annotated[TableFormat, typer.Option("--format", help="A table, one JSON object, or LaTeX.")] = TableFormat.HUMAN,
):
    """Count the FLOPs of a query: multiply-adds times two, by module."""
    from vla_bench.measure import flops as measure
    from vla_bench.report.flops import latex, print_flops

    request = measure.FlopsRequest(
        model=model,
        pruner=pruner,
        kept=measure.parse_kept(kept),
        from_run=from_run,
        prompt_tokens=prompt_tokens,
        scope=scope,
        counter=counter,
    )
    counts = measure.count(request)
    if format is TableFormat.JSON:
        typer.echo(json.dumps(counts[0].to_dict() if len(counts) == 1 else {"cases": [case.to_dict() for case in counts]}))
    elif format is TableFormat.LATEX:
        typer.echo(latex(counts), nl=False)
    else:
        print_flops(counts)
    if explain:
        for line in measure.explain(counts[0], measure.config_of(counts[0].model)):
            typer.echo(line, err=True)


@app.command()
def latency(
    model: Annotated[
        str, typer.Option(help=MODEL_ONLY_HELP + "  With --random-weights: 7b or nano.", autocompletion=completion.models)
    ] = "nano",
    pruner: Annotated[
        Optional[str], typer.Option(help=PRUNER_TEXT_HELP, autocompletion=completion.pruners, show_default="the checkpoint's")
    ] = None,
    vs: Annotated[
        Optional[list[str]],
        typer.Option(help=r"Variant to compare with, as \[MODEL:]PRUNER\[@SPEED]; repeatable.", show_default="dense"),
    ] = None,
    queries: Annotated[int, typer.Option(help="Timed queries per variant; 1000 for a report.")] = 200,
    device: DeviceOption = Device.AUTO,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Random weights in a preset's sizes; needs no checkpoint.")
    ] = False,
    kept_distribution: Annotated[
        Optional[str],
        typer.Option(help="Kept tokens per query: own, paper or fixed:K.", show_default="own; paper with random weights"),
    ] = None,
    from_run: Annotated[
        Optional[Path], typer.Option(help="Run folder whose kept tokens and prompt lengths are replayed.")
    ] = None,
    speed: Annotated[
        Optional[str],
        typer.Option(help="none, all, or speed switches: cameras,rows,fused,buckets,compile,graphs.", show_default="by device"),
    ] = None,
    suite: Suites = "all",
    seed: Annotated[int, typer.Option(help="Seed of random weights and drawn counts.")] = 0,
    out: Annotated[Optional[Path], typer.Option(help="JSON file with every raw time.", show_default="none")] = None,
    format: FormatOption = Format.HUMAN,
):
    """Time queries, variants in turn: medians, percentiles, stages, and ratios with intervals."""
    from vla_bench.measure.latency import DENSE, LatencyRequest, measure_latency
    from vla_bench.records import make_room
    from vla_bench.report.latency import print_latency, write_latency

    command = shlex.join(["vla-bench", *sys.argv[1:]])
    given = tuple(vs or (DENSE,))
    variants = {"model": model, "pruner": pruner, "vs": given, "suite": suite, "queries": queries, "device": device}
    conditions = {"random_weights": random_weights, "from_run": from_run, "kept": kept_distribution, "speed": speed, "seed": seed}
    request = LatencyRequest(**variants, **conditions, command=command)
    make_room(out)
    measured = measure_latency(request)
    if out is not None:
        write_latency(measured, out)
    if format is Format.JSON:
        typer.echo(json.dumps(measured.to_dict(), allow_nan=False))
    else:
        print_latency(measured)


@app.command()
def agree(
    pruner: Annotated[list[str], typer.Option(help=PRUNER_TEXT_HELP + "  Repeatable.", autocompletion=completion.pruners)],
    model: Annotated[str, typer.Option(help=MODEL_ONLY_HELP, autocompletion=completion.models)] = "nano",
    observations: Annotated[
        Optional[Path], typer.Option(help="A .npz file or a folder of demonstrations.", show_default="the bundled ones")
    ] = None,
    suite: Suites = "all",
    episodes: Annotated[int, typer.Option(help="Episodes read from each demonstration file.")] = 1,
    out: Annotated[Optional[Path], typer.Option(help="PNG file: distance against kept tokens.")] = None,
    device: DeviceOption = Device.AUTO,
    format: FormatOption = Format.HUMAN,
):
    """Compare a pruned model's actions with the dense model's on recorded observations: no simulator, no success rates."""
    from vla_bench.measure.agree import AgreeRequest
    from vla_bench.measure.agree import agree as run
    from vla_bench.records import make_room
    from vla_bench.report.agreement import plot_agreement, print_agreement

    make_room(out)
    request = AgreeRequest(model, tuple(pruner), suite=suite, observations=observations, episodes=episodes, device=device)
    agreed = run(request)
    if format is Format.JSON:
        typer.echo(json.dumps(agreed.to_dict(), allow_nan=False))
    else:
        print_agreement(agreed)
    if out is not None:
        plot_agreement(agreed, out)
