"""The sizes of a model by its name, without its weights.  Needs no torch."""

from __future__ import annotations

from pathlib import Path

from vla_bench.checkpoints.config_file import read_config
from vla_bench.checkpoints.known import FOUR_SUITES, bundled
from vla_bench.errors import UsageError, nearest
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import PRESETS, SEVEN_B
from vla_bench.suites import load_suites


def config_of(model: str) -> VLAConfig:
    """Of a preset, a bundled model, a checkpoint folder, or a public checkpoint.  Raises UsageError, CheckpointError."""
    if model in PRESETS:
        return PRESETS[model]
    folder = bundled(model) or Path(model)
    if folder.is_dir():
        return read_config(folder)
    if model in _public():
        return SEVEN_B
    known = [*PRESETS, *_public()]
    raise UsageError(
        f'"{model}" is no preset ({", ".join(PRESETS)}), bundled model, folder or public checkpoint.{nearest(model, known)}',
        "vla-bench flops --model 7b",
    )


def _public() -> set[str]:
    """What `--model` calls the public checkpoints, all of which have the paper's sizes: by family, and by hub id."""
    checkpoints = [(name, found.hub) for suite in load_suites() for name, found in suite.checkpoints.items()]
    return {FOUR_SUITES, *(name for pair in checkpoints for name in pair)}
