"""What enters a model's decoder, and what leaves it, for recorded observations: the part of a query that an engine serves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vla_bench.measure import sources
from vla_bench.measure.recorded import read_observations
from vla_bench.model.sequence import Tokens
from vla_bench.model.vla import VLA, Inputs, Output
from vla_bench.pruners.registry import make_pruner


@dataclass(frozen=True)
class Served:
    """One query under one pruner.

    tokens: entering the decoder.  read: columns of the action slots.  slots: their last hidden states (56, D).  actions: (8, 7).
    """

    tokens: Tokens
    read: slice
    slots: Tensor
    actions: Tensor

    @property
    def embeddings(self) -> Tensor:
        """(N, D)"""
        return self.tokens.hidden[0]


def model_and_queries(name: str, queries: int) -> tuple[VLA, list[Inputs]]:
    """A model on the CPU without a pruner, and its inputs for so many of the bundled observations, spread over all of them."""
    episodes = read_observations()
    seen = [observation for episode in episodes for observation in episode]
    every = max(1, len(seen) // queries)
    suites = tuple(dict.fromkeys(each.episode.suite for each in seen))
    policy = sources.checkpoint(name, suites, "cpu").policy()
    return policy.model, [policy.processor([each]) for each in seen[::every][:queries]]


@torch.no_grad()
def served(model: VLA, queries: list[Inputs], pruner: str) -> Iterator[Served]:
    """The queries, one by one, under a pruner."""
    model.attach(made := make_pruner(pruner))
    if made is not None:
        made.eval()
    entering: list[Tokens] = []
    hook = model.openvla.language_model.register_forward_pre_hook(lambda _, given: entering.append(given[0]))
    try:
        for one in queries:
            output: Output = model(one)
            tokens = entering.pop()
            yield Served(tokens, model.read(tokens), output.slots[0], output.actions[0])
    finally:
        hook.remove()
