"""From a `ModelChoice` to a policy: which checkpoint, which pruner, which statistics, and the card that says so."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vla_bench.checkpoints.checkpoint import Loaded, load
from vla_bench.checkpoints.choices import OWN
from vla_bench.checkpoints.known import NANO, WEIGHTS, bundled
from vla_bench.errors import CheckpointError, UsageError
from vla_bench.interface.layout import Span
from vla_bench.interface.needs import Need
from vla_bench.interface.pruner import Pruner
from vla_bench.model.normalisation import choose_statistics
from vla_bench.model.processor import Processor
from vla_bench.model.tokenizer import Tokenizer
from vla_bench.policies.registry import ModelChoice
from vla_bench.policies.vla import VLAPolicy
from vla_bench.pruners.registry import make_pruner
from vla_bench.pruners.spec import parse_arguments
from vla_bench.suites import SUITE_NAMES, Suite, load_suite


def make_vla_policy(choice: ModelChoice) -> VLAPolicy:
    """Load the model chosen and whatever it needs to act.  Raises VlaBenchError before any episode has begun."""
    if choice.threads is not None:
        torch.set_num_threads(choice.threads)
    suites = [load_suite(name) for name in choice.suites or SUITE_NAMES]
    loaded = _load(choice, suites)
    model = loaded.model
    if choice.decoding == "l1" and model.action_head is None:
        raise UsageError(f"{choice.model} has no L1 action head", f"vla-bench eval --model {choice.model} --decoding ar")
    if choice.decoding == "ar" and (lacks := _decoding_lacks(model.pruner)):
        raise UsageError(f"{model.pruner.label} needs {lacks}, which decoding token by token has not", "leave --decoding ar out")
    chosen = {suite.name: choose_statistics(loaded.statistics, suite.libero_name, choice.unnorm_key) for suite in suites}
    statistics = {name: found for name, (_, found, _) in chosen.items()}
    processor = Processor(
        loaded.config, Tokenizer(loaded.tokenizer_file, loaded.config.tokens), loaded.normalisation, statistics, suites[0].cameras
    )
    keys = tuple((f"unnorm key, {name}", f"{key} ({why})") for name, (key, _, why) in chosen.items())
    identity = {"checkpoint": loaded.sha256, "unnorm_keys": {name: key for name, (key, _, _) in chosen.items()}}
    return VLAPolicy(choice.model, model, processor, choice.decoding == "ar", identity, (*loaded.card, *keys))


def _decoding_lacks(pruner: Pruner | None) -> str | None:
    """What a pruner asks for that only one pass over everything has; None for nothing."""
    if pruner is None:
        return None
    if Need.PAST in pruner.needs:
        return "keys and values of the last query"
    return "the action slots' attention" if any(rows.span is Span.SLOTS for rows in pruner.rows) else None


def _load(choice: ModelChoice, suites: list[Suite]) -> Loaded:
    pruner = None
    if choice.pruner is not None:
        pruner = make_pruner(choice.pruner, parse_arguments(choice.pruner_args or ""))
    if choice.pruner is None:
        pruner = OWN
    return load(source(choice, suites), device=choice.device, pruner=pruner, action_slice=choice.action_slice)


def source(choice: ModelChoice, suites: Sequence[Suite], again: str = "vla-bench eval") -> str:
    """The folder or hub id behind a model's name.

    again: the command that was given, up to --suite and --model, for what an error advises.  Raises VlaBenchError.
    """
    name = NANO if choice.model == "nano" else choice.model
    folder = bundled(name)
    if folder is None and name == NANO:
        raise CheckpointError(
            f"{WEIGHTS / NANO} is missing: it should have come with vla-bench", "pip install --force-reinstall vla-bench"
        )
    if folder is not None:
        return str(folder)
    if choice.model not in suites[0].checkpoints:
        return choice.model
    if len(suites) > 1:
        raise UsageError(
            f"{choice.model} has one checkpoint per suite, and {len(suites)} suites were asked for",
            f"{again} --suite {suites[0].name} --model {choice.model}",
        )
    return suites[0].checkpoints[choice.model].hub
