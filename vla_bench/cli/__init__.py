"""The command line: parse, make one request, call one library function, print."""

from __future__ import annotations

import sys

import typer

from vla_bench.cli import comparing, listings, measuring, rollouts, training  # noqa: F401  they add themselves
from vla_bench.cli.app import app
from vla_bench.errors import VlaBenchError

__all__ = ["app", "main"]


def main() -> None:
    """Entry point: a `VlaBenchError` becomes one message and its exit code."""
    try:
        app()
    except VlaBenchError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
