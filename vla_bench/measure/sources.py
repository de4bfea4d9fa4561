"""What a model's name stands for where something is measured: a checkpoint, looked at before its weights are read, or random
weights of a preset's sizes; and pruners for it, with the parameters that the checkpoint has for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path

import torch

from vla_bench.checkpoints.choices import choose_dtype, choose_kind, fill_pruner, own_pruner, statistics_table
from vla_bench.checkpoints.config_file import read_config_file
from vla_bench.checkpoints.files import origin
from vla_bench.checkpoints.hub import find, is_hub_id
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
from vla_bench.pruners.registry import NONE
from vla_bench.suites import load_suite, load_suites, suite_names


@dataclass(frozen=True)
class Source:
    """own: the pruner that it was trained with, "none" for none.  folder: None for random weights."""

    name: str
    config: VLAConfig
    own: str
    _: KW_ONLY
    folder: Path | None = None
    choice: ModelChoice | None = field(default=None, repr=False)
    resolved: ResolvedModel | None = field(default=None, repr=False)

    def policy(self) -> VLAPolicy:
        """The checkpoint without its pruner, as eval has it.  Raises VlaBenchError."""
        return make_vla_policy(self.choice, self.resolved)

    def attach(self, model: VLA, pruner: Pruner | None) -> None:
        """Fit a pruner to the model, in whose type and on whose device it gets the parameters that the checkpoint has for it.

        Raises VlaBenchError.
        """
        model.attach(pruner)
        if pruner is None:
            return
        weight = model.openvla.projector.fc1.weight
        if self.folder is not None:
            fill_pruner(pruner, self.own, self.folder, weight.device, weight.dtype)
        pruner.to(weight.device, weight.dtype).eval()


def checkpoint(model: str, suites: Sequence[str], device: str, again: str) -> Source:
    """The checkpoint called so, for these suites.

    again: the command that was given, up to --suite and --model, for what an error advises.
    Raises VlaBenchError for what is no model, and where the suites have no checkpoint or action statistics in common.
    """
    found = resolve_model(model, suites=suites, device=device, command=again)
    if found.kind is not ModelKind.CHECKPOINT:
        raise UsageError(f"{found.name} is no model, it has no image tokens to prune", f"{again} --model nano")
    place = found.checkpoint(suites, again)
    folder = find(place)
    file = read_config_file(folder)
    kind, _ = choose_kind(file, folder, place if is_hub_id(place) else origin(folder))
    table, _ = statistics_table(file, folder)
    _check_statistics(found.name, table, suites, again)
    choice = ModelChoice(model, suites=tuple(suites), device=device, pruner=NONE)
    return Source(found.name, file.config, own_pruner(file, kind), folder=folder, choice=choice, resolved=found)


def random_weights(model: str) -> Source:
    """A preset.  Raises UsageError."""
    if model not in PRESETS:
        raise UsageError(f'random weights have the sizes of a preset, {" or ".join(PRESETS)}, and "{model}" is none')
    return Source(model, preset(model), "lightvla")


def make_random(source: Source, seed: int, device: torch.device) -> tuple[VLA, Processor]:
    """The preset's sizes with random weights; its prompts are filled to the length that the instruction would have."""
    dtype, _ = choose_dtype(None, device)
    model = random_vla(source.config, seed, None, device, dtype).eval()
    suites = load_suites()
    statistics = {suite.name: choose_statistics(RANDOM_STATISTICS, suite.libero_name, None)[1] for suite in suites}
    tokenizer = Tokenizer(NANO_TOKENIZER, PRESETS["nano"].tokens)
    return model, Processor(source.config, tokenizer, Normalisation(), statistics, suites[0].cameras)


def _check_statistics(model: str, table: dict[str, dict], suites: Sequence[str], again: str) -> None:
    """Raises UsageError where other suites than these have action statistics, CheckpointError where none has."""
    lacking = {name: error for name in suite_names() if (error := _without(table, name)) is not None}
    missing = [name for name in suites if name in lacking]
    if not missing:
        return
    others = [name for name in suites if name not in lacking] or [name for name in suite_names() if name not in lacking]
    if not others:
        raise CheckpointError(lacking[missing[0]].message, f"{again} --model nano")
    raise UsageError(
        f"{model} has no action statistics for suite {', '.join(missing)}: it has those of {', '.join(table)}",
        f"{again} --suite {','.join(others)} --model {model}",
    )


def _without(table: dict[str, dict], suite: str) -> CheckpointError | None:
    """Why there are no statistics for a suite; None where there are.  Whether they can be read shows when they are."""
    try:
        choose_statistics(dict.fromkeys(table, RANDOM_STATISTICS["random"]), load_suite(suite).libero_name)
    except CheckpointError as error:
        return error
    return None
