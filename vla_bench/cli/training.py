"""Commands that record demonstrations and train models."""

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
    Assets,
    DemoFormat,
    DeviceOption,
    PrunerArgs,
    Suites,
    Tasks,
    TensorBoardOption,
    TrackioOption,
    WandBOption,
    Workers,
)
from vla_bench.errors import UsageError
from vla_bench.interface.noise import NoiseSchedule
from vla_bench.training.precision import Precision
from vla_bench.training.schedule import LearningRate
from vla_bench.values import Device, ImageOrder

RECIPE_HELP = "paper (7B, LoRA, one suite), paper-joint (all suites at once), nano-oft (from scratch) or nano-lightvla."


@app.command()
def demos(
    suite: Suites = "all",
    per_task: Annotated[int, typer.Option(help="Demonstrations of each task.")] = 50,
    out: Annotated[Path, typer.Option(help="Output folder, with LIBERO's file names.")] = Path("results/demos"),
    tasks: Tasks = None,
    image_size: Annotated[int, typer.Option(help="Image size in pixels: 128 as in LIBERO's files, or 256.")] = 128,
    disturb: Annotated[float, typer.Option(help="Share of episodes with noise on the commands and pushes of the arm.")] = 0.6,
    learner: Annotated[
        Optional[str],
        typer.Option(help="Learner policy for DAgger rollouts: acts first, then the expert takes over.", show_default="none"),
    ] = None,
    workers: Workers = "auto",
    assets: Assets = "auto",
    seed: Annotated[int, typer.Option(help="Seed of start states and pushes.")] = 0,
    lerobot: Annotated[
        Optional[Path], typer.Option(help="Also write them as a LeRobot data set (v3.0) to this new folder.", show_default="none")
    ] = None,
    source: Annotated[
        Optional[Path],
        typer.Option("--from", help="Record nothing: take this folder's HDF5 files for --lerobot.", show_default="none"),
    ] = None,
    format: Annotated[
        DemoFormat,
        typer.Option("--format", help="A table, or one JSON object; lerobot: as --lerobot OUT-lerobot."),
    ] = DemoFormat.HUMAN,
):
    """Record expert demonstrations from sampled starts, never the official ones, as LIBERO HDF5.  Repeat to resume."""
    from vla_bench.demonstrations.demos import DemoRequest, make_demos
    from vla_bench.demonstrations.lerobot.written import print_written
    from vla_bench.demonstrations.progress import DemoProgress
    from vla_bench.demonstrations.report import print_report

    if format is DemoFormat.LEROBOT and lerobot is None:
        recorded = source or out
        lerobot = recorded.with_name(f"{recorded.name}-lerobot")
    if source is not None:
        written = _converted(source, suite, lerobot)
        return typer.echo(json.dumps(written.to_dict())) if format is DemoFormat.JSON else print_written(written)
    if lerobot is not None:
        from vla_bench.demonstrations.lerobot.writing import check_new

        check_new(lerobot)  # before anything is recorded
    command = shlex.join(["vla-bench", *sys.argv[1:]])
    request = DemoRequest(
        suite=suite,
        per_task=per_task,
        out=out,
        tasks=tasks,
        image_size=image_size,
        disturb=disturb,
        workers=workers,
        assets=assets,
        seed=seed,
        learner=learner,
        command=command,
    )
    report = make_demos(request, DemoProgress())
    written = _converted(out, suite, lerobot) if lerobot is not None and report.exit_code == 0 else None
    if format is DemoFormat.JSON:
        also = {} if written is None else {"lerobot": written.to_dict()}
        typer.echo(json.dumps(report.to_dict() | also, allow_nan=False))
    else:
        print_report(report)
        if written is not None:
            print_written(written)
    if lerobot is not None and written is None:
        typer.echo(f"{lerobot} is written once all demonstrations are there; repeat the command", err=True)
    raise typer.Exit(report.exit_code)


def _converted(source: Path, suite: str, lerobot: Optional[Path]):
    """Demonstrations that are there, written as a LeRobot data set."""
    from vla_bench.demonstrations.lerobot.writing import write_lerobot
    from vla_bench.suites import ALL
    from vla_bench.training.data import demonstrations

    if lerobot is None:
        raise UsageError("--from takes --lerobot, the folder to write", instead={"--lerobot": "DATASET"})
    return write_lerobot(demonstrations(source, None if suite == ALL else suite), lerobot)


@app.command()
def train(
    data: Annotated[
        Path, typer.Option(help="Folder of demonstrations (HDF5 of vla-bench or LIBERO, LeRobot v3.0), or one file.")
    ],
    images: Annotated[
        ImageOrder, typer.Option(help="How their images are stored: opengl as LIBERO's, upside down; opencv, upright; rotated.")
    ] = ImageOrder.AUTO,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse data of which anything would be left out.")] = False,
    recipe: Annotated[str, typer.Option(help=RECIPE_HELP, autocompletion=completion.recipes)] = "paper",
    suite: Annotated[
        Optional[str], typer.Option(help="Train this suite alone, from its checkpoint.", show_default="all demonstrations")
    ] = None,
    start: Annotated[
        Optional[str],
        typer.Option(help="Checkpoint, training folder, hub id or preset to start from.", show_default="the recipe's"),
    ] = None,
    pruner: Annotated[
        Optional[str],
        typer.Option(
            help="none, lightvla, lightvla-star-vision, -llm1, -llm2, -llm3, grid-sampler, or a plug-in that learns.",
            show_default="the recipe's",
        ),
    ] = None,
    pruner_args: PrunerArgs = None,
    noise_schedule: Annotated[
        Optional[NoiseSchedule], typer.Option(help="Noise schedule of the pruner.", show_default="linear")
    ] = None,
    kept_once: Annotated[
        Optional[float],
        typer.Option(help="Share of steps that prune as evaluation does, each token once.", show_default="the recipe's"),
    ] = None,
    steps: Annotated[Optional[int], typer.Option(help="Total steps.", show_default="the recipe's")] = None,
    batch: Annotated[Optional[int], typer.Option(help="Samples per step over all processes.", show_default="64")] = None,
    accumulate: Annotated[Optional[int], typer.Option(help="Micro-batches per step and process.", show_default="1")] = None,
    learning_rate: Annotated[Optional[float], typer.Option(help="Peak learning rate.", show_default="the recipe's")] = None,
    rate_schedule: Annotated[
        Optional[LearningRate], typer.Option(help="Learning-rate schedule.", show_default="the recipe's")
    ] = None,
    matrix_rate: Annotated[
        Optional[float], typer.Option(help="Peak learning rate of Muon, for weight matrices.", show_default="the recipe's")
    ] = None,
    shares: Annotated[
        Optional[str], typer.Option(help="Suite weights, as long=3; tasks of a suite evenly.", show_default="the recipe's")
    ] = None,
    auxiliary: Annotated[
        Optional[float], typer.Option(help="Weight of the auxiliary keypoint loss.", show_default="the recipe's")
    ] = None,
    freeze: Annotated[
        Optional[str],
        typer.Option(help="Parts that stay as they are: vision, projector, llm, heads, by commas.", show_default="none"),
    ] = None,
    lora_rank: Annotated[
        Optional[int], typer.Option(help="LoRA rank; 0 trains all weights.", show_default="the recipe's")
    ] = None,
    precision: Annotated[
        Optional[Precision], typer.Option(help="Precision of the forward pass.", show_default="bfloat16 on CUDA")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, batches, augmentation and noise.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for state, log, plot and checkpoint.")] = Path("results/training"),
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted training.")] = False,
    save_every: Annotated[int, typer.Option(help="Steps between saved states.", min=1)] = 500,
    export: Annotated[
        Optional[Path], typer.Option(help="Write the checkpoint of the training in --out to this folder, and stop.")
    ] = None,
    device: DeviceOption = Device.AUTO,
    tensorboard: TensorBoardOption = None,
    wandb: WandBOption = None,
    trackio: TrackioOption = None,
):
    """Fine-tune with the paper's recipe, or train a nano model.  Several processes: torchrun -m -- vla_bench train ..."""
    from vla_bench.tracking import trackers
    from vla_bench.training import recipe as recipes
    from vla_bench.training.finetune import TrainRequest
    from vla_bench.training.finetune import train as run
    from vla_bench.training.progress import TrainProgress
    from vla_bench.training.tracked import TrackedTraining

    chosen = recipes.recipe(recipe).with_options(
        start=start,
        suite=suite,
        pruner=pruner,
        pruner_args=pruner_args,
        noise_schedule=noise_schedule,
        kept_once=kept_once,
        steps=steps,
        batch=batch,
        accumulate=accumulate,
        learning_rate=learning_rate,
        rate_schedule=rate_schedule,
        matrix_rate=matrix_rate,
        shares=shares,
        auxiliary=auxiliary,
        freeze=freeze,
        lora_rank=lora_rank,
        precision=precision,
        seed=seed,
    )
    request = TrainRequest(
        chosen,
        data,
        out,
        device,
        save_every=save_every,
        resume=resume,
        export=export,
        images=images,
        strict=strict,
    )
    with TrackedTraining(TrainProgress(chosen.batch), trackers(tensorboard, wandb, trackio), chosen, out) as on_step:
        trained = run(request, on_step)
    if trained.checkpoint is not None:
        typer.echo(trained.checkpoint)
    elif not trained.finished:
        typer.echo(f"interrupted after {trained.steps} steps; repeat the command with --resume", err=True)
    raise typer.Exit(trained.exit_code)
