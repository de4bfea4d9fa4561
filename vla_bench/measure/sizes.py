"""The sizes of a model by its name, without its weights.  Needs no torch."""

from __future__ import annotations

from pathlib import Path

from vla_bench.checkpoints.config_file import read_config
from vla_bench.checkpoints.known import FOUR_SUITES, families
from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import PRESETS, SEVEN_B
from vla_bench.policies.resolve import ModelKind, resolve_model

COMMAND = "vla-bench flops"


def config_of(model: str) -> VLAConfig:
    """Sizes of a preset, a bundled model, a checkpoint folder or a public checkpoint.  Raises UsageError, CheckpointError."""
    resolved = resolve_model(model, presets=True, command=COMMAND)
    if resolved.kind is ModelKind.PRESET:
        return PRESETS[resolved.name]
    if resolved.kind is not ModelKind.CHECKPOINT:
        raise UsageError(f"{model} is a {resolved.kind.value} without a network to count", f"{COMMAND} --model {SEVEN_B.name}")
    # All public checkpoints have the paper's sizes.
    if resolved.place is None or resolved.place in _public():
        return SEVEN_B
    folder = Path(resolved.place).expanduser()
    if not folder.is_dir():
        what = f"the sizes of {model} are not known here: {COMMAND} downloads nothing"
        raise UsageError(what, f"hf download {model} config.json --local-dir FOLDER, and {COMMAND} --model FOLDER")
    return read_config(folder)


def _public() -> set[str]:
    """Hub ids of the public checkpoints."""
    return {FOUR_SUITES, *(hub for by_suite in families().values() for hub in by_suite.values())}
