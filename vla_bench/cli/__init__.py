"""The command line: parse, make one request, call one library function, print."""

from __future__ import annotations

import sys
import traceback

import typer

from vla_bench.cli import (  # noqa: F401  importing them adds their commands
    checkups,
    comparing,
    gating,
    listings,
    measuring,
    merging,
    planning,
    reporting,
    rollouts,
    sweeping,
    training,
)
from vla_bench.cli.app import app
from vla_bench.errors import ExitCode, VlaBenchError

__all__ = ["app", "main"]


def main() -> None:
    """Entry point: a `VlaBenchError` is printed as one message with its exit code; any other exception with its trace and exit
    code 70."""
    try:
        app()
    except VlaBenchError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001  Python's own exit code for it, 1, is that of a failed `gate`
        typer.echo("internal error (exit code 70), not a result:", err=True)
        traceback.print_exc()
        sys.exit(ExitCode.INTERNAL)
