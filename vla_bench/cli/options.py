"""Options that several commands have, and the ways to print."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from vla_bench.values import Value


class Format(Value):
    HUMAN = "human"
    JSON = "json"


class TableFormat(Value):
    HUMAN = "human"
    JSON = "json"
    LATEX = "latex"


MODEL_HELP = (
    "auto (the best that fits this machine), nano (bundled), lightvla or openvla-oft (the suite's own), a checkpoint folder, "
    "a hub id; or a script: expert, noop, random, replay:RUN."
)
PRUNER_HELP = "Which image tokens the model keeps: by default a LightVLA checkpoint prunes with lightvla, others with none."
SLICE_HELP = "Where the action head reads: as LightVLA's released code does, or as in training."
PrunerArgs = Annotated[
    Optional[str], typer.Option(help="Its arguments, as layer=3,keep=0.25 or a TOML file.", show_default="its own")
]
Suites = Annotated[str, typer.Option(help="spatial, object, goal, long (libero_10); several with commas; all.")]
Tasks = Annotated[Optional[str], typer.Option(help="Such as 0,3 or 0-4, or an instruction.", show_default="all")]
Trials = Annotated[Optional[int], typer.Option(help="Episodes per task, from init state 0 up.", show_default="50")]
InitStates = Annotated[Optional[str], typer.Option(help="Init states such as 0-9, instead of --trials.")]
Workers = Annotated[str, typer.Option(help="Simulator processes; auto counts cores and memory.")]
Assets = Annotated[str, typer.Option(help="auto, primitive, official or a folder.")]
FormatOption = Annotated[Format, typer.Option("--format", help="A table, or one JSON object on standard output.")]
