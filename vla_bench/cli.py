"""The command line: parse, make one request, call one library function, print."""

from __future__ import annotations

import json
import shlex
import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench import __version__
from vla_bench.errors import VlaBenchError

app = typer.Typer(
    help="Does this token pruner help, by how much, and is it real?",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


class Format(str, Enum):
    human = "human"
    json = "json"


class TableFormat(str, Enum):
    human = "human"
    json = "json"
    latex = "latex"


class FlopsScope(str, Enum):
    model = "model"
    reference = "reference"
    executed = "executed"


class Decoding(str, Enum):
    l1 = "l1"
    ar = "ar"


class ActionSlice(str, Enum):
    reference = "reference"
    aligned = "aligned"


class Device(str, Enum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class NoiseSchedule(str, Enum):
    linear = "linear"
    constant = "constant"
    none = "none"


class RateSchedule(str, Enum):
    step = "step"
    cosine = "cosine"
    trapezoid = "trapezoid"


class Video(str, Enum):
    failures = "failures"
    all = "all"
    none = "none"


MODEL_HELP = (
    "auto (the best that fits this machine), nano (bundled), lightvla or openvla-oft (the suite's own), a checkpoint folder, "
    "a hub id; or a script: expert, noop, random, replay:RUN."
)
PRUNER_HELP = "Which image tokens the model keeps: by default a LightVLA checkpoint prunes with lightvla, others with none."
SLICE_HELP = "Where the action head reads: as LightVLA's released code does, or as in training."
PrunerArgs = Annotated[
    Optional[str], typer.Option(help="Its arguments, as layer=3,keep=0.25 or a TOML file.", show_default="its own")
]
FormatOption = Annotated[Format, typer.Option("--format", help="A table, or one JSON object on standard output.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vla-bench {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
):
    pass


@app.command()
def suites(format: FormatOption = Format.human):
    """List the LIBERO suites and the protocol each is evaluated with."""
    from vla_bench.report.listings import print_suites, suites_dict
    from vla_bench.suites import load_suites

    found = load_suites()
    if format is Format.json:
        typer.echo(json.dumps(suites_dict(found)))
    else:
        print_suites(found)


@app.command()
def models(format: FormatOption = Format.human):
    """List the models that have a name, and where each comes from."""
    from vla_bench.model.known import known_models
    from vla_bench.report.listings import models_dict, print_models

    found = known_models()
    if format is Format.json:
        typer.echo(json.dumps(models_dict(found)))
    else:
        print_models(found)


@app.command()
def pruners(format: FormatOption = Format.human):
    """List the pruners: where each acts, what it needs, its parameters and its source."""
    from vla_bench.pruners.catalogue import catalogue
    from vla_bench.report.pruners import print_pruners

    found = catalogue()
    if format is Format.json:
        typer.echo(json.dumps([entry.to_dict() for entry in found]))
    else:
        print_pruners(found)


@app.command()
def verify(
    fixtures: Annotated[Optional[Path], typer.Option(help="Folder of golden tensors.", show_default="the set that ships")] = None,
    format: FormatOption = Format.human,
):
    """Recompute golden tensors with this code, on this machine and these libraries.  Exits 1 on any miss."""
    from vla_bench.report.verdicts import print_verdict
    from vla_bench.verify.run import verify as run

    verdict = run(fixtures)
    if format is Format.json:
        typer.echo(json.dumps(verdict.to_dict(), allow_nan=False))
    else:
        print_verdict(verdict)
    raise typer.Exit(verdict.exit_code)


@app.command("eval")
def eval_(
    suite: Annotated[str, typer.Option(help="spatial, object, goal, long (libero_10) or all.")] = "all",
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "auto",
    trials: Annotated[Optional[int], typer.Option(help="Episodes per task, from init state 0 up.", show_default="50")] = None,
    tasks: Annotated[Optional[str], typer.Option(help="Such as 0,3 or 0-4, or an instruction.", show_default="all")] = None,
    init_states: Annotated[Optional[str], typer.Option(help="Init states such as 0-9, instead of --trials.")] = None,
    workers: Annotated[str, typer.Option(help="Simulator processes; auto counts cores and memory.")] = "auto",
    assets: Annotated[str, typer.Option(help="auto, primitive, official or a folder.")] = "auto",
    video: Annotated[Video, typer.Option(help="Which episodes to film.")] = Video.failures,
    out: Annotated[Optional[Path], typer.Option(help="Run folder.", show_default="results/runs/ID")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over; what is recorded is set aside.")] = False,
    seed: Annotated[int, typer.Option(help="Randomness of the policy.")] = 0,
    pruner: Annotated[Optional[str], typer.Option(help=PRUNER_HELP, show_default="the checkpoint's own")] = None,
    pruner_args: PrunerArgs = None,
    decoding: Annotated[Decoding, typer.Option(help="l1: a chunk at once; ar: one action token after another.")] = Decoding.l1,
    unnorm_key: Annotated[Optional[str], typer.Option(help="Action statistics.", show_default="the suite's")] = None,
    action_slice: Annotated[Optional[ActionSlice], typer.Option(help=SLICE_HELP, show_default="by origin")] = None,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = Device.auto,
    format: FormatOption = Format.human,
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
        video=video.value,
        out=out,
        fresh=fresh,
        seed=seed,
        pruner=pruner,
        pruner_args=pruner_args,
        decoding=decoding.value,
        unnorm_key=unnorm_key,
        action_slice=action_slice and action_slice.value,
        device=device.value,
        command=command,
    )
    result = evaluate(request, ProgressDisplay())
    if format is Format.json:
        typer.echo(json.dumps(result.to_dict(), allow_nan=False))
    else:
        from vla_bench.report.listings import print_result

        print_result(result)
    raise typer.Exit(result.exit_code)


@app.command()
def demos(
    suite: Annotated[str, typer.Option(help="spatial, object, goal, long (libero_10) or all.")] = "all",
    per_task: Annotated[int, typer.Option(help="Demonstrations of each task.")] = 50,
    out: Annotated[Path, typer.Option(help="Folder; LIBERO's file names below it.")] = Path("results/demos"),
    tasks: Annotated[Optional[str], typer.Option(help="Such as 0,3 or 0-4, or an instruction.", show_default="all")] = None,
    image_size: Annotated[int, typer.Option(help="128 as LIBERO's own files, or 256.")] = 128,
    disturb: Annotated[float, typer.Option(help="Share of episodes in which the arm is pushed.")] = 0.3,
    workers: Annotated[str, typer.Option(help="Simulator processes; auto counts cores and memory.")] = "auto",
    assets: Annotated[str, typer.Option(help="auto, primitive, official or a folder.")] = "auto",
    seed: Annotated[int, typer.Option(help="Of the start states and the pushes.")] = 0,
    format: FormatOption = Format.human,
):
    """Record the expert from random starts, never the official ones, in LIBERO's HDF5.  The same command again resumes."""
    from vla_bench.training.demo_progress import DemoProgress
    from vla_bench.training.demo_report import print_report
    from vla_bench.training.demos import DemoRequest, make_demos

    command = shlex.join(["vla-bench", *sys.argv[1:]])
    request = DemoRequest(suite, per_task, out, tasks, image_size, disturb, workers, assets, seed, command)
    report = make_demos(request, DemoProgress())
    if format is Format.json:
        typer.echo(json.dumps(report.to_dict(), allow_nan=False))
    else:
        print_report(report)
    raise typer.Exit(report.exit_code)


@app.command()
def flops(
    model: Annotated[str, typer.Option(help="7b, nano, a bundled model or a checkpoint folder.")] = "7b",
    pruner: Annotated[Optional[str], typer.Option(help="As for eval.", show_default="all, at the paper's settings")] = None,
    kept: Annotated[Optional[int], typer.Option(help="Image tokens left at the end.", show_default="by the pruner")] = None,
    from_run: Annotated[Optional[Path], typer.Option(help="Mean over this run's queries, each with its own counts.")] = None,
    prompt_tokens: Annotated[int, typer.Option(help="Length of the instruction; 28 is LIBERO's mean.")] = 28,
    scope: Annotated[FlopsScope, typer.Option(help="Which parts count; see --explain.")] = FlopsScope.model,
    explain: Annotated[bool, typer.Option("--explain", help="The formula with this case's numbers.")] = False,
    format: Annotated[TableFormat, typer.Option("--format", help="A table, one JSON object, or LaTeX.")] = TableFormat.human,
):
    """Count the FLOPs of a query: multiply-adds times two, by module."""
    from vla_bench.measure import flops as measure
    from vla_bench.report.flops import latex, print_flops

    request = measure.FlopsRequest(model, pruner, kept, from_run, prompt_tokens, measure.Scope(scope.value))
    counts = measure.count(request)
    if format is TableFormat.json:
        typer.echo(json.dumps(counts[0].to_dict() if len(counts) == 1 else {"cases": [case.to_dict() for case in counts]}))
    elif format is TableFormat.latex:
        typer.echo(latex(counts))
    else:
        print_flops(counts)
    if explain:
        for line in measure.explain(counts[-1 if len(counts) == 1 else 0], measure.config_of(model)):
            typer.echo(line, err=True)


@app.command()
def agree(
    pruner: Annotated[list[str], typer.Option(help="As for eval, arguments in parentheses; may be given more than once.")],
    model: Annotated[str, typer.Option(help=MODEL_HELP)] = "nano",
    observations: Annotated[
        Optional[Path], typer.Option(help="A .npz file or a folder of demonstrations.", show_default="those that ship")
    ] = None,
    episodes: Annotated[int, typer.Option(help="Of each demonstration file.")] = 1,
    out: Annotated[Optional[Path], typer.Option(help="PNG of distance against kept tokens.")] = None,
    seed: Annotated[int, typer.Option(help="Of random weights.")] = 0,
    device: Annotated[Device, typer.Option(help="Where the model runs.")] = Device.auto,
    format: FormatOption = Format.human,
):
    """Compare pruned answers to recorded observations with the dense model's.  No simulator; no success rates either."""
    from vla_bench.measure.agree import AgreeRequest
    from vla_bench.measure.agree import agree as run
    from vla_bench.report.agreement import plot_agreement, print_agreement

    agreed = run(AgreeRequest(model, tuple(pruner), observations, episodes, device.value, seed))
    if format is Format.json:
        typer.echo(json.dumps(agreed.to_dict(), allow_nan=False))
    else:
        print_agreement(agreed)
    if out is not None:
        plot_agreement(agreed, out)


@app.command()
def train(
    data: Annotated[Path, typer.Option(help="Folder of demonstrations, ours or LIBERO's HDF5.")],
    recipe: Annotated[str, typer.Option(help="paper (7B, LoRA), nano-oft (from scratch) or nano-lightvla.")] = "paper",
    start: Annotated[Optional[str], typer.Option(help="Checkpoint, hub id or preset.", show_default="the recipe's")] = None,
    pruner: Annotated[Optional[str], typer.Option(help="Trained with.", show_default="the recipe's")] = None,
    pruner_args: PrunerArgs = None,
    noise_schedule: Annotated[Optional[NoiseSchedule], typer.Option(help="Of the pruner's noise.", show_default="linear")] = None,
    steps: Annotated[Optional[int], typer.Option(help="Steps in all.", show_default="the recipe's")] = None,
    batch: Annotated[Optional[int], typer.Option(help="Samples a step, all processes together.", show_default="64")] = None,
    accumulate: Annotated[Optional[int], typer.Option(help="Micro-batches a step and process.", show_default="1")] = None,
    learning_rate: Annotated[Optional[float], typer.Option(help="At its peak.", show_default="the recipe's")] = None,
    rate_schedule: Annotated[Optional[RateSchedule], typer.Option(help="Of the rate.", show_default="the recipe's")] = None,
    matrix_rate: Annotated[Optional[float], typer.Option(help="Muon's, for the matrices.", show_default="the recipe's")] = None,
    auxiliary: Annotated[Optional[float], typer.Option(help="Weight of its loss.", show_default="the recipe's")] = None,
    lora_rank: Annotated[Optional[int], typer.Option(help="0 trains every weight.", show_default="the recipe's")] = None,
    seed: Annotated[int, typer.Option(help="Of weights, batches, augmentation and noise.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder of state, log, plot and checkpoint.")] = Path("results/training"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a killed training stands.")] = False,
    save_every: Annotated[int, typer.Option(help="Steps that a kill may cost.")] = 500,
    export: Annotated[Optional[Path], typer.Option(help="Write the checkpoint of where --out stands, and stop.")] = None,
    device: Annotated[Device, typer.Option(help="Where to train.")] = Device.auto,
):
    """Fine-tune as the paper does, or train a nano model.  Several processes: torchrun -m -- vla_bench train ..."""
    from vla_bench.training import recipe as recipes
    from vla_bench.training.finetune import TrainRequest
    from vla_bench.training.finetune import train as run
    from vla_bench.training.progress import TrainProgress

    chosen = recipes.recipe(recipe).with_options(
        start=start,
        pruner=pruner,
        pruner_args=pruner_args,
        noise_schedule=noise_schedule and recipes.NoiseSchedule(noise_schedule.value),
        steps=steps,
        batch=batch,
        accumulate=accumulate,
        learning_rate=learning_rate,
        rate_schedule=rate_schedule and recipes.LearningRate(rate_schedule.value),
        matrix_rate=matrix_rate,
        auxiliary=auxiliary,
        lora_rank=lora_rank,
        seed=seed,
    )
    trained = run(TrainRequest(chosen, data, out, device.value, save_every, resume, export), TrainProgress(chosen.batch))
    if trained.checkpoint is not None:
        typer.echo(trained.checkpoint)
    elif not trained.finished:
        typer.echo(f"interrupted after {trained.steps} steps; the same command with --resume goes on", err=True)
    raise typer.Exit(trained.exit_code)


def main() -> None:
    """Entry point: a `VlaBenchError` becomes one message and its exit code."""
    try:
        app()
    except VlaBenchError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
