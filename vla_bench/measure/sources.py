"""The model that a measurement runs: a checkpoint, checked before its weights are read, or random weights of a preset's sizes;
and its pruners, with the parameters that the checkpoint has for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

import torch

from vla_bench.checkpoints.choices import choose_dtype, choose_kind, fill_pruner, own_pruner, statistics_table
from vla_bench.checkpoints.config_file import read_config_file
from vla_bench.checkpoints.files import origin
from vla_bench.checkpoints.hub import is_hub_id, local_folder
from vla_bench.errors import CheckpointError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import PRESETS, preset
from vla_bench.interface.pruner import Pruner
from vla_bench.model.images import Normalisation
from vla_bench.model.initialise import RANDOM_STATISTICS, random_vla
from vla_bench.model.normalisation import choose_statistics
from vla_bench.model.processor import Processor
from vla_bench.model.tokenizer import NANO_TOKENIZER, Tokenizer
from vla_bench.model.vla import VLA
from vla_bench.policies.checkpoints import make_vla_policy
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.resolve import ModelKind, ResolvedModel, resolve_model
from vla_bench.policies.vla import VLAPolicy
from vla_bench.pruners.names import NONE
from vla_bench.suites import load_suite, load_suites, suite_names


@dataclass(frozen=True)
class ModelSource:
    """A model before it is loaded.  own: the pruner that it was trained with, or "none".  folder: None for random weights."""

    name: str
    config: VLAConfig
    own: str
    _: KW_ONLY
    folder: Path | None = None
    choice: ModelChoice | None = field(default=None, repr=False)
    resolved: ResolvedModel | None = field(default=None, repr=False)

    def policy(self) -> VLAPolicy:
        """Load the checkpoint without its pruner, as eval does.  Raises VlaBenchError."""
        return make_vla_policy(self.choice, self.resolved)

    def attach(self, model: VLA, pruner: Pruner | None) -> None:
        """Attach a pruner, with the checkpoint's parameters for it, in the model's dtype and on its device.

        Raises VlaBenchError.
        """
        model.attach(pruner)
        if pruner is None:
            return
        weight = model.openvla.projector.fc1.weight
        if self.folder is not None:
            fill_pruner(pruner, self.own, (self.folder,), weight.device, weight.dtype)
        pruner.to(weight.device, weight.dtype).eval()


def checkpoint(model: str, suites: Sequence[str], device: str, option: str | None = "--model") -> ModelSource:
    """The checkpoint with this name, for these suites.

    option: that of the running command which names it, for the fix of an error; None where it is one of several.
    Raises VlaBenchError for a name without a model, and where the suites have no checkpoint or action statistics in common.
    """
    resolved = resolve_model(model, suites=suites, device=device, option=option)
    if resolved.kind is not ModelKind.CHECKPOINT:
        raise UsageError(
            f"{resolved.name} is not a model: it has no image tokens to prune", instead={option or "--model": "nano"}
        )
    place = resolved.checkpoint(suites)
    folder = local_folder(place)
    file = read_config_file(folder)
    kind, _ = choose_kind(file, folder, place if is_hub_id(place) else origin(folder))
    table, _ = statistics_table(file, folder)
    _check_statistics(resolved.name, table, suites)
    choice = ModelChoice(model, suites=tuple(suites), device=device, pruner=NONE)
    return ModelSource(resolved.name, file.config, own_pruner(file, kind), folder=folder, choice=choice, resolved=resolved)


def random_weights(model: str) -> ModelSource:
    """A preset with random weights.  Raises UsageError."""
    if model not in PRESETS:
        raise UsageError(
            f'random weights need a preset ({" or ".join(PRESETS)}), and "{model}" is not one', instead={"--model": "nano"}
        )
    return ModelSource(model, preset(model), "lightvla")


def make_random(source: ModelSource, seed: int, device: torch.device) -> tuple[VLA, Processor]:
    """A model of the preset's sizes with random weights, and its processor."""
    dtype, _ = choose_dtype(None, device)
    model = random_vla(source.config, seed, None, device, dtype).eval()
    suites = load_suites()
    statistics = {suite.name: choose_statistics(RANDOM_STATISTICS, suite.data_name, None)[1] for suite in suites}
    tokenizer = Tokenizer(NANO_TOKENIZER, PRESETS["nano"].tokens)
    return model, Processor(source.config, tokenizer, Normalisation(), statistics, suites[0].cameras)


def _check_statistics(model: str, table: dict[str, dict], suites: Sequence[str]) -> None:
    """Raises UsageError where only other suites have action statistics, CheckpointError where none has."""
    lacking = {name: error for name in suite_names() if (error := _without(table, name)) is not None}
    missing = [name for name in suites if name in lacking]
    if not missing:
        return
    others = [name for name in suites if name not in lacking] or [name for name in suite_names() if name not in lacking]
    if not others:
        raise CheckpointError(lacking[missing[0]].message, instead={"--model": "nano"})
    raise UsageError(
        f"{model} has no action statistics for suite {', '.join(missing)}: it has those of {', '.join(table)}",
        instead={"--suite": ",".join(others)},
    )


def _without(table: dict[str, dict], suite: str) -> CheckpointError | None:
    """The error of a suite without statistics, else None.  The numbers themselves are checked when they are read."""
    try:
        choose_statistics(dict.fromkeys(table, RANDOM_STATISTICS["random"]), load_suite(suite).data_name)
    except CheckpointError as error:
        return error
    return None
