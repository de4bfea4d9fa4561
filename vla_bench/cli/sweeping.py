"""Commands that run several models or pruners on the same episodes."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.cli.options import (
    PRUNER_TEXT_HELP,
    Assets,
    DeviceOption,
    Format,
    FormatOption,
    InitStates,
    Suites,
    Tasks,
    TensorBoardOption,
    TrackioOption,
    Trials,
    WandBOption,
    Workers,
)
from vla_bench.values import Control, Device, OtherNoise, OtherPositions, OtherTokens, Video

THE_SWEEPS = "the sweep's"
SweepFolder = Annotated[
    Optional[Path], typer.Option(help="Folder of sweep.json and the run folders.", show_default="results/sweeps/NAME")
]


@app.command()
def sweep(
    sweep: Annotated[
        Optional[str],
        typer.Argument(metavar="SWEEP", help="A TOML file or a shipped sweep; `vla-bench sweep` alone lists these."),
    ] = None,
    model: Annotated[
        Optional[list[str]],
        typer.Option(help="As for eval; repeatable.  With SWEEP the one model it is about.", show_default=THE_SWEEPS),
    ] = None,
    pruner: Annotated[
        Optional[list[str]],
        typer.Option(
            help=PRUNER_TEXT_HELP + "  keep=match:RUN: as many as RUN kept in each suite; repeatable.", show_default=THE_SWEEPS
        ),
    ] = None,
    pruner_args: Annotated[
        Optional[list[str]],
        typer.Option(help="Without SWEEP, arguments of every --pruner; repeatable.", show_default="the pruner's"),
    ] = None,
    base: Annotated[
        Optional[str], typer.Option(help="Row that the others are paired with.", show_default="the sweep's, else the first")
    ] = None,
    only: Annotated[Optional[list[str]], typer.Option(help="Run this row; repeatable.", show_default="all")] = None,
    suite: Annotated[
        Optional[str],
        typer.Option(help="Suites: spatial, object, goal, long, several with commas, or all.", show_default=THE_SWEEPS),
    ] = None,
    trials: Trials = None,
    tasks: Tasks = None,
    init_states: InitStates = None,
    shard: Annotated[
        Optional[str], typer.Option(help="A part of these episodes, as 2/8; `vla-bench merge` joins them.", show_default="all")
    ] = None,
    workers: Workers = "auto",
    assets: Assets = "auto",
    video: Annotated[Video, typer.Option(help="Episodes to film.")] = Video.NONE,
    out: SweepFolder = None,
    device: DeviceOption = Device.AUTO,
    tensorboard: TensorBoardOption = None,
    wandb: WandBOption = None,
    trackio: TrackioOption = None,
    format: FormatOption = Format.HUMAN,
):
    """Run models and pruners on the same episodes, paired with a base.  Repeat the command to resume."""
    from vla_bench.report.sweep import print_shipped, print_sweep
    from vla_bench.rollout.sweep_definition import defined, shipped

    if sweep is None and not model and not pruner:
        typer.echo(json.dumps(shipped())) if format is Format.JSON else print_shipped(shipped())
        raise typer.Exit()
    definition = defined(sweep, model or (), pruner or (), pruner_args or (), base)

    from vla_bench.rollout.request import EvalRequest
    from vla_bench.rollout.sweep import run_sweep
    from vla_bench.rollout.sweep_progress import SweepProgress
    from vla_bench.rollout.tracked import TrackedSweep
    from vla_bench.tracking import trackers

    tracker = trackers(tensorboard, wandb, trackio)
    chosen = {"suite": suite, "trials": trials, "tasks": tasks, "init_states": init_states}
    request = EvalRequest(
        **definition.selection(chosen),
        shard=shard,
        workers=workers,
        assets=assets,
        video=video,
        out=out,
        device=device,
        command=shlex.join(["vla-bench", *sys.argv[1:]]),
    )
    observer = SweepProgress() if tracker is None else TrackedSweep(SweepProgress(), tracker)
    result = run_sweep(definition, request, observer, only or ())
    typer.echo(json.dumps(result.to_dict(), allow_nan=False)) if format is Format.JSON else print_sweep(result)
    raise typer.Exit(result.exit_code)


@app.command()
def ablate(
    noise_schedule: Annotated[
        Optional[list[OtherNoise]],
        typer.Option(
            help="Table III: models trained with this noise schedule; repeatable.",
            show_default="both, where no variant is named",
        ),
    ] = None,
    tokens: Annotated[
        Optional[list[OtherTokens]],
        typer.Option(
            help="Table IV: as many random tokens again, or a tenth fewer; repeatable.",
            show_default="both, where no variant is named",
        ),
    ] = None,
    star: Annotated[
        bool, typer.Option("--star", help="Table V: models trained with learnable queries, as far as there are.")
    ] = False,
    control: Annotated[
        Optional[list[Control]],
        typer.Option(help="As many other tokens in each suite, on the model's weights; repeatable.", show_default="none"),
    ] = None,
    positions: Annotated[
        Optional[list[OtherPositions]],
        typer.Option(help="The kept tokens at these positions in place of their own; repeatable.", show_default="none"),
    ] = None,
    model: Annotated[str, typer.Option(help="Pruned model that its variants are compared with.")] = "nano",
    suite: Suites = "all",
    trials: Trials = None,
    tasks: Tasks = None,
    init_states: InitStates = None,
    workers: Workers = "auto",
    assets: Assets = "auto",
    video: Annotated[Video, typer.Option(help="Episodes to film.")] = Video.NONE,
    out: SweepFolder = None,
    seed: Annotated[int, typer.Option(help="Seed of the tokens drawn by --tokens and --control.")] = 0,
    device: DeviceOption = Device.AUTO,
    tensorboard: TensorBoardOption = None,
    wandb: WandBOption = None,
    trackio: TrackioOption = None,
    format: FormatOption = Format.HUMAN,
):
    """Run a pruned model and its ablations on the same episodes, paired.  Repeat the command to resume."""
    from vla_bench.rollout.ablate import ablate as run
    from vla_bench.rollout.request import EvalRequest
    from vla_bench.rollout.sweep_progress import SweepProgress
    from vla_bench.rollout.tracked import TrackedSweep
    from vla_bench.tracking import trackers

    tracker = trackers(tensorboard, wandb, trackio)
    command = shlex.join(["vla-bench", *sys.argv[1:]])
    base = EvalRequest(
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
    observer = SweepProgress() if tracker is None else TrackedSweep(SweepProgress(), tracker)
    ablation = run(base, noise_schedule or (), tokens or (), star, control or (), positions or (), observer)
    if format is Format.JSON:
        typer.echo(json.dumps(ablation.to_dict(), allow_nan=False))
    else:
        from vla_bench.report.ablation import print_ablation

        print_ablation(ablation)
    raise typer.Exit(ablation.exit_code)
