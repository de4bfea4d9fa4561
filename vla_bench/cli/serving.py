"""The command that serves a model to other people's harnesses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli import completion
from vla_bench.cli.app import app
from vla_bench.cli.options import (
    ADAPTER_HELP,
    DECODING_HELP,
    MODEL_ONLY_HELP,
    PRUNER_HELP,
    SAID,
    SLICE_HELP,
    DeviceOption,
    PrunerArgs,
    Suites,
)
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.values import Decoding, Device


@app.command()
def serve(
    model: Annotated[str, typer.Option(help=MODEL_ONLY_HELP, autocompletion=completion.models)] = "nano",
    suite: Suites = "all",
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 for every network of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for any that is free.")] = 8000,
    max_sessions: Annotated[int, typer.Option(help="Clients at a time.")] = 64,
    copies: Annotated[
        Optional[int],
        typer.Option(help="Copies of the model that answer at once.", show_default="on a CPU one a core"),
    ] = None,
    pruner: Annotated[
        Optional[str], typer.Option(help=PRUNER_HELP, autocompletion=completion.pruners, show_default="the checkpoint's")
    ] = None,
    pruner_args: PrunerArgs = None,
    decoding: Annotated[Optional[Decoding], typer.Option(help=DECODING_HELP, show_default="the checkpoint's")] = None,
    unnorm_key: Annotated[Optional[str], typer.Option(help="Key of the action statistics.", show_default="the suite's")] = None,
    action_slice: Annotated[
        Optional[ActionSlice], typer.Option(help=SLICE_HELP, show_default="from the checkpoint's release")
    ] = None,
    adapter: Annotated[Optional[Path], typer.Option(help=ADAPTER_HELP, show_default="none")] = None,
    cameras: Annotated[Optional[int], typer.Option(help="Cameras that it was trained with.", show_default=SAID)] = None,
    chunk: Annotated[Optional[int], typer.Option(help="Steps of a chunk that it was trained with.", show_default=SAID)] = None,
    center_crop: Annotated[
        Optional[bool], typer.Option("--center-crop/--no-center-crop", help="Trained with random crops.", show_default=SAID)
    ] = None,
    open_loop_steps: Annotated[
        Optional[int], typer.Option(help="Steps answered after a query.", show_default="the whole chunk")
    ] = None,
    device: DeviceOption = Device.AUTO,
):
    """Serve a model to vla-eval's and openpi's clients, and to `eval --model ws://HOST:PORT`."""
    from vla_bench.policies.choice import ModelChoice
    from vla_bench.serve.run import ServeRequest
    from vla_bench.serve.run import serve as run
    from vla_bench.suites import load_suites

    choice = ModelChoice(
        model,
        suites=tuple(each.name for each in load_suites(suite)),
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
    )
    run(ServeRequest(choice, host, port, max_sessions, copies), typer.echo, lambda line: typer.echo(line, err=True))
