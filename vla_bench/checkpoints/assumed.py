"""What training chose and no public file says: number of cameras, length of a chunk, and whether frames are cropped.

A wrong number runs without an error and costs success, so the card says where each comes from, and the user may give it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from vla_bench.checkpoints.config_file import BLOCK, ConfigFile
from vla_bench.checkpoints.files import CONFIG
from vla_bench.checkpoints.known import published
from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig


@dataclass(frozen=True)
class TrainedWith:
    """The user's word on how a model was trained; None where nothing was said.

    cameras: images that it reads, in the suite's order: the first is the fixed camera, the second the wrist's.
    chunk: steps that a query answers.
    center_crop: it saw random crops in training, and sees the middle of every frame in evaluation.
    """

    cameras: int | None = None
    chunk: int | None = None
    center_crop: bool | None = None


NOTHING_SAID = TrainedWith()


def complete(file: ConfigFile, source: str, given: TrainedWith = NOTHING_SAID) -> tuple[VLAConfig, dict[str, str]]:
    """The sizes of a checkpoint with what the user said, and a reason for each field of `TrainedWith`.

    Raises UsageError where its `config.json` says something else.
    """
    reasons, values = {}, {}
    for field in fields(TrainedWith):
        name, said = field.name, getattr(given, field.name)
        known = getattr(file.config, name)
        if file.origin is not None:
            if said is not None and said != known:
                what = f"{CONFIG} of {source} says {name} = {known} ({BLOCK}), and {option(name, said)} was given"
                raise UsageError(what, f"leave {option(name, said)} out")
            reasons[name] = f"from its {CONFIG}"
        elif said is not None:
            values[name], reasons[name] = said, "asked for"
        elif published(source) is not None:
            reasons[name] = "as published"
        else:
            reasons[name] = f"assumed, no file says it; else {option(name, _other(known))}"
    return replace(file.config, **values), reasons


def option(name: str, value: object) -> str:
    """A field as the command line spells it."""
    flag = name.replace("_", "-")
    return f"--{'' if value else 'no-'}{flag}" if isinstance(value, bool) else f"--{flag} {value}"


def _other(value: int | bool) -> object:
    """Another value than the one that is assumed, as an example."""
    return not value if isinstance(value, bool) else "N"
