"""Makes a policy from a `ModelChoice`: checkpoint, pruner, action statistics and model card."""

from __future__ import annotations

import torch

from vla_bench.checkpoints.checkpoint import Loaded, load
from vla_bench.checkpoints.choices import OWN
from vla_bench.errors import UsageError
from vla_bench.interface.layout import Span
from vla_bench.interface.needs import Need
from vla_bench.interface.pruner import Pruner
from vla_bench.model.normalisation import choose_statistics
from vla_bench.model.processor import Processor
from vla_bench.model.tokenizer import Tokenizer
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.resolve import ResolvedModel
from vla_bench.policies.vla import VLAPolicy
from vla_bench.pruners.registry import make_pruner
from vla_bench.pruners.spec import parse_arguments
from vla_bench.suites import Suite, load_suite, suite_names
from vla_bench.values import Decoding


def make_vla_policy(choice: ModelChoice, chosen: ResolvedModel) -> VLAPolicy:
    """Load the chosen checkpoint, its processor and statistics.  Raises VlaBenchError."""
    if choice.threads is not None:
        torch.set_num_threads(choice.threads)
    suites = [load_suite(name) for name in choice.suites or suite_names()]
    loaded = _load(choice, chosen, suites)
    model = loaded.model
    if choice.decoding is Decoding.L1 and model.action_head is None:
        raise UsageError(f"{chosen.name} has no L1 action head", f"vla-bench eval --model {chosen.name} --decoding ar")
    if choice.decoding is Decoding.AR and (lacks := _decoding_lacks(model.pruner)):
        raise UsageError(
            f"{model.pruner.label} needs {lacks}, which decoding token by token does not provide", "leave --decoding ar out"
        )
    entries = {suite.name: choose_statistics(loaded.statistics, suite.libero_name, choice.unnorm_key) for suite in suites}
    statistics = {name: entry for name, (_, entry, _) in entries.items()}
    processor = Processor(
        loaded.config, Tokenizer(loaded.tokenizer_file, loaded.config.tokens), loaded.normalisation, statistics, suites[0].cameras
    )
    keys = tuple((f"unnorm key, {name}", f"{key} ({reason})") for name, (key, _, reason) in entries.items())
    identity = {"checkpoint": loaded.sha256, "unnorm_keys": {name: key for name, (key, _, _) in entries.items()}}
    return VLAPolicy(
        chosen.name,
        model,
        processor,
        autoregressive=choice.decoding is Decoding.AR,
        identity=identity,
        card=(*loaded.card, *keys),
    )


def _decoding_lacks(pruner: Pruner | None) -> str | None:
    """What a pruner needs that decoding token by token cannot provide; None where it provides everything."""
    if pruner is None:
        return None
    if Need.PAST in pruner.needs:
        return "keys and values of the last query"
    return "the action slots' attention" if any(rows.span is Span.SLOTS for rows in pruner.rows) else None


def _load(choice: ModelChoice, chosen: ResolvedModel, suites: list[Suite]) -> Loaded:
    pruner = OWN if choice.pruner is None else make_pruner(choice.pruner, parse_arguments(choice.pruner_args or ""))
    source = chosen.checkpoint([suite.name for suite in suites])
    return load(source, device=choice.device, pruner=pruner, action_slice=choice.action_slice)
