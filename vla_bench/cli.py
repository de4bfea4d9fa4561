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


class Video(str, Enum):
    failures = "failures"
    all = "all"
    none = "none"


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


@app.command("eval")
def eval_(
    suite: Annotated[str, typer.Option(help="spatial, object, goal, long (libero_10) or all.")] = "all",
    model: Annotated[str, typer.Option(help="expert, noop, random or replay:RUN_FOLDER.")] = "expert",
    trials: Annotated[Optional[int], typer.Option(help="Episodes per task, from init state 0 up. [default: 50]")] = None,
    tasks: Annotated[Optional[str], typer.Option(help="Tasks such as 0,3 or 0-4, or an instruction. [default: all]")] = None,
    init_states: Annotated[Optional[str], typer.Option(help="Init states such as 0-9, instead of --trials.")] = None,
    workers: Annotated[str, typer.Option(help="Simulator processes; auto counts cores and memory.")] = "auto",
    assets: Annotated[str, typer.Option(help="auto, primitive, official or a folder.")] = "auto",
    video: Annotated[Video, typer.Option(help="Which episodes to film.")] = Video.failures,
    out: Annotated[Optional[Path], typer.Option(help="Run folder. [default: results/runs/ID]")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over; what is recorded is set aside.")] = False,
    seed: Annotated[int, typer.Option(help="Randomness of the policy.")] = 0,
    format: FormatOption = Format.human,
):
    """Run LIBERO rollouts and report success rates with 95 % intervals.  The same command again resumes."""
    from vla_bench.rollout.evaluate import Request, evaluate
    from vla_bench.rollout.progress import ProgressDisplay

    command = shlex.join(["vla-bench", *sys.argv[1:]])
    request = Request(suite, model, trials, tasks, init_states, workers, assets, video.value, out, fresh, seed, command)
    result = evaluate(request, ProgressDisplay())
    if format is Format.json:
        typer.echo(json.dumps(result.to_dict(), allow_nan=False))
    else:
        from vla_bench.report.listings import print_result

        print_result(result)
    raise typer.Exit(result.exit_code)


def main() -> None:
    """Entry point: a `VlaBenchError` becomes one message and its exit code."""
    try:
        app()
    except VlaBenchError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
