"""Commands that run episodes in the simulator."""

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
    SAID,
    ActionSliceOption,
    AdapterOption,
    Assets,
    CamerasOption,
    CenterCrop,
    DecodingOption,
    DeviceOption,
    Format,
    FormatOption,
    InitStates,
    PrunerArgs,
    PrunerOption,
    Suites,
    Tasks,
    TensorBoardOption,
    TrackioOption,
    Trials,
    UnnormKey,
    WandBOption,
    Workers,
)
from vla_bench.cli.overlaying import film_overlays
from vla_bench.values import Device, EngineName, Video


@app.command("eval")
def eval_(
    suite: Suites = "all",
    model: Annotated[str, typer.Option(help=MODEL_HELP, autocompletion=completion.models)] = "auto",
    trials: Trials = None,
    tasks: Tasks = None,
    init_states: InitStates = None,
    shard: Annotated[
        Optional[str], typer.Option(help="A part of these episodes, as 2/8; `vla-bench merge` joins them.", show_default="all")
    ] = None,
    workers: Workers = "auto",
    engine: Annotated[EngineName, typer.Option(help="local: this machine; ray: the nodes of a ray cluster.")] = EngineName.LOCAL,
    address: Annotated[
        Optional[str],
        typer.Option(help="Ray cluster, as 10.0.0.1:6379.", show_default="RAY_ADDRESS, or one started on this machine"),
    ] = None,
    assets: Assets = "auto",
    video: Annotated[Video, typer.Option(help="Episodes to film.")] = Video.FAILURES,
    overlay: Annotated[Video, typer.Option(help="Episodes to film with their pruned patches dimmed.")] = Video.NONE,
    out: Annotated[Optional[Path], typer.Option(help="Run folder.", show_default="results/runs/ID")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over; the earlier run is moved to RUN.old1.")] = False,
    frozen_fixtures: Annotated[
        bool, typer.Option("--frozen-fixtures", help="Fixtures as in runs of version 0.1: those of the first reset.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of the policy `random`; pruners have their own.")] = 0,
    pruner: PrunerOption = None,
    pruner_args: PrunerArgs = None,
    decoding: DecodingOption = None,
    unnorm_key: UnnormKey = None,
    action_slice: ActionSliceOption = None,
    adapter: AdapterOption = None,
    cameras: CamerasOption = None,
    chunk: Annotated[
        Optional[int],
        typer.Option(help="Steps of a chunk that it was trained with, or that a policy server buffers.", show_default=SAID),
    ] = None,
    center_crop: CenterCrop = None,
    open_loop_steps: Annotated[
        Optional[int], typer.Option(help="Steps executed before the next query.", show_default="the whole chunk")
    ] = None,
    device: DeviceOption = Device.AUTO,
    against: Annotated[
        Optional[Path], typer.Option(help="Baseline run that must be comparable: a folder or a summary.", show_default="none")
    ] = None,
    stop_early: Annotated[
        bool, typer.Option("--stop-early", help="Stop once the pairs with --against decide; exit codes as of `gate`.")
    ] = False,
    alpha: Annotated[
        Optional[float], typer.Option(help="--stop-early: chance of a wrong verdict, a fraction.", show_default="0.05")
    ] = None,
    must_see: Annotated[
        Optional[float], typer.Option(help="--stop-early: drop, in percentage points, that a pass excludes.", show_default="5")
    ] = None,
    tensorboard: TensorBoardOption = None,
    wandb: WandBOption = None,
    trackio: TrackioOption = None,
    dry: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, say what would run, how long and what it could show.")
    ] = False,
    format: FormatOption = Format.HUMAN,
):
    """Run LIBERO episodes and report success rates with 95 % intervals.  Repeat the command to resume."""
    from vla_bench.rollout.against import stop_options
    from vla_bench.rollout.evaluate import evaluate
    from vla_bench.rollout.progress import ProgressDisplay
    from vla_bench.rollout.request import EvalRequest
    from vla_bench.rollout.tracked import TrackedRun
    from vla_bench.tracking import trackers

    command = shlex.join(["vla-bench", *sys.argv[1:]])
    request = EvalRequest(
        suite=suite,
        model=model,
        trials=trials,
        tasks=tasks,
        init_states=init_states,
        shard=shard,
        workers=workers,
        engine=engine,
        address=address,
        assets=assets,
        video=video,
        out=out,
        fresh=fresh,
        frozen_fixtures=frozen_fixtures,
        seed=seed,
        pruner=pruner,
        pruner_args=pruner_args,
        decoding=decoding,
        unnorm_key=unnorm_key,
        action_slice=action_slice,
        adapter=adapter,
        cameras=cameras,
        chunk=chunk,
        center_crop=center_crop,
        open_loop_steps=open_loop_steps,
        device=device,
        against=against,
        stop_early=stop_options(stop_early, alpha, must_see),
        command=command,
    )
    tracker = trackers(tensorboard, wandb, trackio)
    if dry:
        from vla_bench.report.planning import print_dry_run
        from vla_bench.rollout.dry_run import dry_run

        found = dry_run(request)
        typer.echo(json.dumps(found.to_dict(), allow_nan=False)) if format is Format.JSON else print_dry_run(found)
        raise typer.Exit()
    result = evaluate(request, ProgressDisplay() if tracker is None else TrackedRun(ProgressDisplay(), tracker))
    if format is Format.JSON:
        typer.echo(json.dumps(result.to_dict(), allow_nan=False))
    else:
        from vla_bench.report.listings import print_result

        print_result(result)
    if overlay is not Video.NONE and not result.interrupted:
        film_overlays(result.run_dir, overlay, workers)
    raise typer.Exit(result.exit_code)
