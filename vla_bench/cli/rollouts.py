"""Episodes in the simulator."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.cli.options import (
    MODEL_HELP,
    PRUNER_HELP,
    SLICE_HELP,
    Assets,
    Format,
    FormatOption,
    InitStates,
    PrunerArgs,
    Suites,
    Tasks,
    Trials,
    Workers,
)
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.values import Decoding, Device, OtherNoise, OtherTokens, Video


@app.command("eval")
def eval_(
    suite: Suites = "all",
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "auto",
    trials: Trials = None,
    tasks: Tasks = None,
    init_states: InitStates = None,
    workers: Workers = "auto",
    assets: Assets = "auto",
    video: Annotated[Video, typer.Option(help="Which episodes to film.")] = Video.FAILURES,
    out: Annotated[Optional[Path], typer.Option(help="Run folder.", show_default="results/runs/ID")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over; what is recorded is set aside.")] = False,
    seed: Annotated[int, typer.Option(help="Of the policy `random`; a pruner has its own.")] = 0,
    pruner: Annotated[Optional[str], typer.Option(help=PRUNER_HELP, show_default="the checkpoint's own")] = None,
    pruner_args: PrunerArgs = None,
    decoding: Annotated[Decoding, typer.Option(help="l1: a chunk at once; ar: one action token after another.")] = Decoding.L1,
    unnorm_key: Annotated[Optional[str], typer.Option(help="Action statistics.", show_default="the suite's")] = None,
    action_slice: Annotated[Optional[ActionSlice], typer.Option(help=SLICE_HELP, show_default="by origin")] = None,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = Device.AUTO,
    format: FormatOption = Format.HUMAN,
):
    """Run LIBERO rollouts and report success rates with 95 % intervals.  The same command again resumes."""
    from vla_bench.rollout.evaluate import Request, evaluate
    from vla_bench.rollout.progress import ProgressDisplay

    command = shlex.join(["vla-bench", *sys.argv[1:]])
    request = Request(
        suite=suite,
        model=model,
        trials=trials,
        tasks=tasks,
        init_states=init_states,
        workers=workers,
        assets=assets,
        video=video,
        out=out,
        fresh=fresh,
        seed=seed,
        pruner=pruner,
        pruner_args=pruner_args,
        decoding=decoding,
        unnorm_key=unnorm_key,
        action_slice=action_slice,
        device=device,
        command=command,
    )
    result = evaluate(request, ProgressDisplay())
    if format is Format.JSON:
        typer.echo(json.dumps(result.to_dict(), allow_nan=False))
    else:
        from vla_bench.report.listings import print_result

        print_result(result)
    raise typer.Exit(result.exit_code)


@app.command()
def ablate(
    noise_schedule: Annotated[
        Optional[list[OtherNoise]],
        typer.Option(help="Table III: weights trained so; may be given twice.", show_default="both, where --tokens is not given"),
    ] = None,
    tokens: Annotated[
        Optional[list[OtherTokens]],
        typer.Option(
            help="Table IV: as many again at random, or a tenth less.", show_default="both, where --noise-schedule is not given"
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="The model whose variants are compared with it.")] = "nano",
    suite: Suites = "all",
    trials: Trials = None,
    tasks: Tasks = None,
    init_states: InitStates = None,
    workers: Workers = "auto",
    assets: Assets = "auto",
    video: Annotated[Video, typer.Option(help="Which episodes to film.")] = Video.NONE,
    out: Annotated[Optional[Path], typer.Option(help="Folder of the runs' folders.", show_default="results/runs")] = None,
    seed: Annotated[int, typer.Option(help="Of the tokens that --tokens draws.")] = 0,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = Device.AUTO,
    format: FormatOption = Format.HUMAN,
):
    """Run a pruned model and its ablations on the same episodes, paired.  The same command again resumes."""
    from vla_bench.rollout.ablate import ablate as run
    from vla_bench.rollout.plan import Request
    from vla_bench.rollout.progress import ProgressDisplay

    command = shlex.join(["vla-bench", *sys.argv[1:]])
    base = Request(
        suite=suite,
        model=model,
        trials=trials,
        tasks=tasks,
        init_states=init_states,
        workers=workers,
        assets=assets,
        video=video,
        out=out,
        seed=seed,
        device=device,
        command=command,
    )
    ablation = run(base, tuple(noise_schedule or ()), tuple(tokens or ()), ProgressDisplay)
    if format is Format.JSON:
        typer.echo(json.dumps(ablation.to_dict(), allow_nan=False))
    else:
        from vla_bench.report.ablation import print_ablation

        print_ablation(ablation)
    raise typer.Exit(ablation.exit_code)
