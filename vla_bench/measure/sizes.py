"""The sizes of a model by its name, without its weights.  Needs no torch."""

from __future__ import annotations

from pathlib import Path

from vla_bench.checkpoints.config_file import read_config
from vla_bench.checkpoints.known import published
from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import OPENVLA, PRESETS, SEVEN_B
from vla_bench.policies.resolve import ModelKind, resolve_model

COMMAND = "vla-bench flops"


def config_of(model: str) -> VLAConfig:
    """Sizes of a preset, a bundled model, a checkpoint folder or a public checkpoint.  Raises UsageError, CheckpointError."""
    resolved = resolve_model(model, presets=True)
    if resolved.kind is ModelKind.PRESET:
        return PRESETS[resolved.name]
    if resolved.kind is not ModelKind.CHECKPOINT:
        raise UsageError(f"{model} is a {resolved.kind.value} without a network to count", instead={"--model": SEVEN_B.name})
    # All public checkpoints have the paper's sizes, or plain OpenVLA's.
    family = resolved.name if resolved.place is None else published(resolved.place)
    if family is not None:
        return OPENVLA if family == OPENVLA.name else SEVEN_B
    folder = Path(resolved.place).expanduser()
    if not folder.is_dir():
        what = f"the sizes of {model} are not known here: {COMMAND} downloads nothing"
        raise UsageError(what, f"hf download {model} config.json --local-dir FOLDER, and {COMMAND} --model FOLDER")
    return read_config(folder)
