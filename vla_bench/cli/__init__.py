"""The command line: parse, make one request, call one library function, print."""

from __future__ import annotations

import sys
import traceback

import typer

from vla_bench.cli import (  # noqa: F401  importing them adds their commands
    browsing,
    checkups,
    comparing,
    exporting,
    gating,
    listings,
    measuring,
    merging,
    overlaying,
    planning,
    reporting,
    rollouts,
    serving,
    sweeping,
    training,
)
from vla_bench.cli.app import app
from vla_bench.cli.own_command import own_command
from vla_bench.errors import ExitCode, VlaBenchError, of_machine
from vla_bench.signals import LIMIT_S, Interrupted, Interruptible, ignore
from vla_bench.terminal import visible

__all__ = ["app", "main"]


def main() -> None:
    """Entry point: a `VlaBenchError` is printed as one message with its exit code; any other exception with its trace and exit
    code 70; Ctrl-C, SIGTERM and SIGHUP end a command that does not handle them with exit code 130."""
    again = f"interrupted\nresume      {own_command()}"
    try:
        with Interruptible(limit_s=LIMIT_S, last_words=again):
            code = _run()
    except Interrupted:
        typer.echo(again, err=True)
        code = ExitCode.INTERRUPTED
    ignore()
    sys.exit(code)


def _run() -> int | str | None:
    try:
        app()
    except SystemExit as end:
        return end.code
    except VlaBenchError as error:
        fix = own_command(error.instead) if error.instead else error.fix
        typer.echo(visible(f"error: {error.message}" + (f"\n  fix: {fix}" if fix else "")), err=True)
        return error.exit_code
    except (OSError, MemoryError) as error:  # of the machine: nothing that vla-bench could have done otherwise
        typer.echo(visible(f"error: {of_machine(error)}"), err=True)
        return ExitCode.STARTUP
    except Exception:  # noqa: BLE001  Python's own exit code for it, 1, is that of a failed `gate`
        typer.echo("internal error (exit code 70), not a result:", err=True)
        traceback.print_exc()
        return ExitCode.INTERNAL
    return ExitCode.DONE
