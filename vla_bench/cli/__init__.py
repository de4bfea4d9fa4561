"""The command line: parse, make one request, call one library function, print."""

from __future__ import annotations

import sys
import traceback

import typer

from vla_bench.cli import comparing, listings, measuring, rollouts, training  # noqa: F401  they add themselves
from vla_bench.cli.app import app
from vla_bench.errors import ExitCode, VlaBenchError

__all__ = ["app", "main"]


def main() -> None:
    """Entry point: a `VlaBenchError` becomes one message and its exit code; any other exception its trace, and a code that
    no verdict has."""
    try:
        app()
    except VlaBenchError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except Exception:  # noqa: BLE001  Python's own exit code for it, 1, means "has dropped" to whoever runs `gate`
        typer.echo("internal error (no verdict):", err=True)
        traceback.print_exc()
        sys.exit(ExitCode.INTERNAL)
