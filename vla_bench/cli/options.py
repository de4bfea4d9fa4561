"""Options that several commands share, and the output formats."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli import completion
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.values import Decoding, Population, Value, device


class Format(Value):
    HUMAN = "human"
    JSON = "json"


class ListFormat(Value):
    HUMAN = "human"
    JSON = "json"
    CSV = "csv"


class TableFormat(Value):
    HUMAN = "human"
    JSON = "json"
    LATEX = "latex"


class DemoFormat(Value):
    HUMAN = "human"
    JSON = "json"
    LEROBOT = "lerobot"


MODEL_HELP = (
    "auto (the best that fits this machine), nano (bundled), lightvla, openvla-oft or openvla (the suite's checkpoint), a "
    "checkpoint folder, a hub id; a policy server, ws://HOST:PORT; or a script: expert, noop, random, replay:RUN."
)
PRUNER_HELP = "Pruner; by default lightvla for LightVLA checkpoints, none for others.  See `vla-bench pruners`."
DECODING_HELP = "l1: a chunk from the L1 head; parallel: a chunk of action tokens at once; ar: one token after another."
ADAPTER_HELP = "Folder of a LoRA adapter that was not merged; by default --model is then the base that it names."
SAID = "as its files say, else as published"
SLICE_HELP = "Hidden states that the action head reads: as in LightVLA's released evaluation, or as in training."
MODEL_ONLY_HELP = "nano (bundled), lightvla or openvla-oft (the suite's checkpoint), a checkpoint folder or a hub id."
PRUNER_TEXT_HELP = "Pruner with its arguments in parentheses, as fastv(keep=0.25)."
PrunerArgs = Annotated[
    Optional[str], typer.Option(help="Arguments of the pruner: layer=3,keep=0.25 or a TOML file.", show_default="the pruner's")
]
Suites = Annotated[
    str,
    typer.Option(
        help="Suites: spatial, object, goal, long (libero_10), several with commas, or all; families as pro, pro-spatial.",
        autocompletion=completion.suites,
    ),
]
Tasks = Annotated[Optional[str], typer.Option(help="Task ids (0,3 or 0-4) or an instruction.", show_default="all")]
Trials = Annotated[Optional[int], typer.Option(help="Episodes per task: init states 0 to N-1.", show_default="50")]
InitStates = Annotated[Optional[str], typer.Option(help="Init states (0-9), instead of --trials.")]
Workers = Annotated[str, typer.Option(help="Simulator processes; auto counts cores and memory.")]
DeviceOption = Annotated[
    str, typer.Option(parser=device, metavar="DEVICE", help="auto, cpu, cuda, or cuda:1 for the second GPU.")
]
Assets = Annotated[str, typer.Option(help="Asset pack: auto, primitive, official or a folder.")]
TensorBoardOption = Annotated[
    Optional[Path],
    typer.Option("--tensorboard", metavar="DIR", help="Also log to TensorBoard: event files in DIR.", show_default="none"),
]
WandBOption = Annotated[
    Optional[str],
    typer.Option("--wandb", metavar="PROJECT", help="Also log to this project of Weights & Biases.", show_default="none"),
]
TrackioOption = Annotated[
    Optional[str], typer.Option("--trackio", metavar="PROJECT", help="Also log to this project of trackio.", show_default="none")
]
FormatOption = Annotated[Format, typer.Option("--format", help="A table, or one JSON object on standard output.")]
PopulationOption = Annotated[
    Population, typer.Option(help="What verdicts are about: the measured tasks and init states, or tasks of their kind.")
]
PrunerOption = Annotated[
    Optional[str], typer.Option("--pruner", help=PRUNER_HELP, autocompletion=completion.pruners, show_default="the checkpoint's")
]
DecodingOption = Annotated[Optional[Decoding], typer.Option("--decoding", help=DECODING_HELP, show_default="the checkpoint's")]
UnnormKey = Annotated[
    Optional[str], typer.Option("--unnorm-key", help="Key of the action statistics.", show_default="the suite's")
]
ActionSliceOption = Annotated[
    Optional[ActionSlice],
    typer.Option("--action-slice", help=SLICE_HELP, show_default="from the checkpoint's release"),
]
AdapterOption = Annotated[Optional[Path], typer.Option("--adapter", help=ADAPTER_HELP, show_default="none")]
CamerasOption = Annotated[Optional[int], typer.Option("--cameras", help="Cameras that it was trained with.", show_default=SAID)]
CenterCrop = Annotated[
    Optional[bool],
    typer.Option("--center-crop/--no-center-crop", help="Trained with random crops.", show_default=SAID),
]
