"""The command-line application; each module of this package adds its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from vla_bench import __version__

app = typer.Typer(
    help="Does this token pruner help, by how much, and is it real?",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vla-bench {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
):
    pass
