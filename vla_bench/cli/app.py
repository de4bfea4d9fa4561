"""The command-line application; each module of this package adds its commands."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from vla_bench import __version__
from vla_bench.cli.own_command import values_of
from vla_bench.errors import UsageError

LISTS = ("--suite", "--tasks", "--init-states")  # options whose value may be several with commas


class _Command(TyperCommand):
    """A command that refuses an option with one value that is given twice: the parser would take the last one in silence."""

    def parse_args(self, ctx, args: list[str]) -> list[str]:
        # The first parsing is for the order alone, in which an option stands as often as it was given.
        *_, order = self.make_parser(ctx).parse_args(args=list(args))
        times = Counter(each.opts[0] for each in order if _takes_one(each))
        twice = {option: values_of(option, args) for option in times if times[option] > 1}
        if twice:
            what = "; ".join(f"{option} takes one value, not {' and '.join(values)}" for option, values in twice.items())
            raise UsageError(what, instead={option: _one(option, values) for option, values in twice.items()})
        return super().parse_args(ctx, args)


def _takes_one(parameter) -> bool:
    return parameter.param_type_name == "option" and not parameter.is_flag and not parameter.multiple


def _one(option: str, values: list[str]) -> str:
    return ",".join(dict.fromkeys(values)) if option in LISTS else values[-1]


class _App(typer.Typer):
    """An application all of whose commands are such commands."""

    def command(self, name: str | None = None, **options: Any):
        return super().command(name, cls=_Command, **options)


app = _App(
    help="Does this token pruner help, by how much, and is it real?",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
)


def own_app(**options: Any) -> typer.Typer:
    """For the commands below one command."""
    return _App(pretty_exceptions_enable=False, **options)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"vla-bench {__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
):
    pass
