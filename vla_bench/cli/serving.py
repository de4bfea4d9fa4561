"""The command that serves a model to other people's harnesses."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from vla_bench.cli import completion
from vla_bench.cli.app import app
from vla_bench.cli.options import (
    MODEL_ONLY_HELP,
    SAID,
    ActionSliceOption,
    AdapterOption,
    CamerasOption,
    CenterCrop,
    DecodingOption,
    DeviceOption,
    PrunerArgs,
    PrunerOption,
    Suites,
    UnnormKey,
)
from vla_bench.values import Device


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
    pruner: PrunerOption = None,
    pruner_args: PrunerArgs = None,
    decoding: DecodingOption = None,
    unnorm_key: UnnormKey = None,
    action_slice: ActionSliceOption = None,
    adapter: AdapterOption = None,
    cameras: CamerasOption = None,
    chunk: Annotated[Optional[int], typer.Option(help="Steps of a chunk that it was trained with.", show_default=SAID)] = None,
    center_crop: CenterCrop = None,
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
