"""Commands that say how many episodes a question takes."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli import completion
from vla_bench.cli.app import app
from vla_bench.cli.options import (
    MODEL_HELP,
    Assets,
    Format,
    FormatOption,
    InitStates,
    PrunerArgs,
    PrunerOption,
    Suites,
    Tasks,
    Trials,
    Workers,
)
from vla_bench.values import Device


@app.command()
def plan(
    other: Annotated[Optional[Path], typer.Argument(help="Second run of --from RUN RUN.", show_default="none")] = None,
    drop: Annotated[float, typer.Option(help="Drop of the success rate that must be seen, in percentage points.")] = 5.0,
    discordance: Annotated[
        Optional[str], typer.Option(help="Share of pairs that differ, in percent: 4%.", show_default="none")
    ] = None,
    measured: Annotated[
        Optional[Path],
        typer.Option("--from", help="Take that share from two runs, or from the file of `vla-bench noise`.", show_default="none"),
    ] = None,
    n: Annotated[Optional[list[int]], typer.Option("--n", help="Init states to tell the power of; repeatable.")] = None,
    alpha: Annotated[float, typer.Option(help="Chance of a false alarm, a fraction.")] = 0.05,
    format: FormatOption = Format.HUMAN,
):
    """How many init states show a drop, and which drop LIBERO's usual numbers of them show."""
    from vla_bench.report.planning import print_plan
    from vla_bench.results.planning import discordance_of, plan_power

    found = plan_power(drop / 100, discordance_of(discordance, measured, other, drop / 100), alpha, n or ())
    if format is Format.JSON:
        typer.echo(json.dumps(found.to_dict(), allow_nan=False))
    else:
        print_plan(found)


@app.command()
def noise(
    suite: Suites = "all",
    model: Annotated[str, typer.Option(help=MODEL_HELP, autocompletion=completion.models)] = "auto",
    trials: Trials = None,
    tasks: Tasks = None,
    init_states: InitStates = None,
    workers: Workers = "auto",
    assets: Assets = "auto",
    pruner: PrunerOption = None,
    pruner_args: PrunerArgs = None,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = Device.AUTO,
    out: Annotated[Optional[Path], typer.Option(help="JSON file to write.", show_default="results/noise/ID.json")] = None,
    format: FormatOption = Format.HUMAN,
):
    """Run one policy twice on the same init states: how often an episode ends differently.  Repeat the command to resume."""
    from vla_bench.report.listings import print_result
    from vla_bench.report.planning import print_noise
    from vla_bench.rollout.noise import measure_noise
    from vla_bench.rollout.progress import ProgressDisplay
    from vla_bench.rollout.request import EvalRequest
    from vla_bench.values import Video

    request = EvalRequest(
        suite=suite,
        model=model,
        trials=trials,
        tasks=tasks,
        init_states=init_states,
        workers=workers,
        assets=assets,
        video=Video.NONE,
        pruner=pruner,
        pruner_args=pruner_args,
        device=device,
        command=shlex.join(["vla-bench", *sys.argv[1:]]),
    )
    found = measure_noise(request, out, ProgressDisplay)
    if found.noise is None:
        print_result(found.last)
    elif format is Format.JSON:
        typer.echo(json.dumps(found.noise.to_dict(), allow_nan=False))
    else:
        print_noise(found.noise)
        typer.echo(f"written to {found.file}", err=True)
    raise typer.Exit(found.exit_code)
