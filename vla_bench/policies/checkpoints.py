"""Makes a policy from a `ModelChoice`: checkpoint, pruner, action statistics and model card."""

from __future__ import annotations

import torch

from vla_bench.checkpoints.checkpoint import Loaded, load
from vla_bench.checkpoints.choices import OWN
from vla_bench.errors import UsageError
from vla_bench.model.normalisation import choose_statistics
from vla_bench.model.processor import Processor
from vla_bench.model.tokenizer import Tokenizer
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.decoding import choose_decoding
from vla_bench.policies.resolve import ResolvedModel
from vla_bench.policies.threads import thread_count
from vla_bench.policies.vla import VLAPolicy
from vla_bench.pruners.registry import make_pruner
from vla_bench.pruners.spec import parse_arguments
from vla_bench.suites import Suite, load_suite, suite_names
from vla_bench.values import Decoding


def make_vla_policy(choice: ModelChoice, chosen: ResolvedModel) -> VLAPolicy:
    """Load the chosen checkpoint, its processor and statistics.  Raises VlaBenchError."""
    suites = [load_suite(name) for name in choice.suites or suite_names()]
    loaded = _load(choice, chosen, suites)
    model = loaded.model
    if choice.threads is not None:
        torch.set_num_threads(thread_count(choice.threads, sum(each.numel() for each in model.parameters())))
    decoding, why = choose_decoding(choice.decoding, loaded, chosen.name)
    steps, why_steps = _open_loop_steps(choice, loaded, decoding)
    entries = {suite.name: choose_statistics(loaded.statistics, suite.data_name, choice.unnorm_key) for suite in suites}
    statistics = {name: entry for name, (_, entry, _) in entries.items()}
    processor = Processor(
        loaded.config, Tokenizer(loaded.tokenizer_file, loaded.config.tokens), loaded.normalisation, statistics, suites[0].cameras
    )
    how = (("decoding", f"{decoding} ({why})"), ("open loop", f"{steps} steps a query ({why_steps})"))
    keys = tuple((f"unnorm key, {name}", f"{key} ({reason})") for name, (key, _, reason) in entries.items())
    identity = {"checkpoint": loaded.sha256, "unnorm_keys": {name: key for name, (key, _, _) in entries.items()}}
    return VLAPolicy(
        chosen.name,
        model,
        processor,
        decoding=decoding,
        open_loop_steps=steps,
        identity=identity,
        card=(*loaded.card, *how, *keys),
        revision=loaded.revision,
    )


def _open_loop_steps(choice: ModelChoice, loaded: Loaded, decoding: Decoding) -> tuple[int, str]:
    """Steps of a chunk that are executed before the next query, and why.  Raises UsageError for more than a chunk has."""
    chunk = 1 if decoding is Decoding.AR else loaded.config.chunk
    if decoding is Decoding.AR and choice.chunk is not None:
        raise UsageError(f"--chunk {choice.chunk}: decoding token by token answers one step", "leave --chunk out")
    steps = choice.open_loop_steps
    if steps is None:
        return chunk, "the whole chunk"
    if not 1 <= steps <= chunk:
        what = f"--open-loop-steps {steps}: a query answers {chunk} step{'s' if chunk > 1 else ''}"
        raise UsageError(what, f"vla-bench eval --open-loop-steps {chunk}")
    return steps, f"asked for, of {chunk}"


def _load(choice: ModelChoice, chosen: ResolvedModel, suites: list[Suite]) -> Loaded:
    pruner = OWN if choice.pruner is None else make_pruner(choice.pruner, parse_arguments(choice.pruner_args or ""))
    source = chosen.checkpoint([suite.name for suite in suites])
    return load(
        source,
        device=choice.device,
        pruner=pruner,
        action_slice=choice.action_slice,
        adapter=choice.adapter,
        trained_with=choice.trained_with,
    )
