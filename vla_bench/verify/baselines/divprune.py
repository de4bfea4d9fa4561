"""`baselines_divprune.npz`: max-min selection on small sets of tokens, in the order of selection."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from vla_bench.interface.layout import Layout
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import Patches, Query, View
from vla_bench.pruners.divprune import DivPrune, cosine_distances, farthest
from vla_bench.pruners.shares import count
from vla_bench.verify.compare import EXACT, Computed
from vla_bench.verify.fixture import Fixture


def computed(given: Fixture) -> Iterator[Computed]:
    """Inputs: case*/{x, ratio}."""
    for case in (name.removesuffix("x") for name in given.names() if name.endswith("/x")):
        tokens, ratio = torch.as_tensor(given[case + "x"]).unsqueeze(0), float(given[case + "ratio"])
        everything = torch.ones(1, 1, tokens.shape[1], dtype=torch.bool)
        order = farthest(cosine_distances(tokens), everything, count(ratio, tokens.shape[1]))[0, 0]
        name = case + "selected_in_order"
        yield Computed(name, order, EXACT, family="case*/selected_in_order")
        # The pruner itself returns a mask of the same tokens.
        kept = _kept(tokens, ratio)
        problem = None if kept == sorted(order.tolist()) else f"the pruner keeps {kept}, in order {sorted(order.tolist())}"
        yield Computed(name, order, EXACT, family="case*/selected_in_order", problem=problem)


def _kept(tokens: torch.Tensor, ratio: float) -> list[int]:
    visual = tokens.shape[1]
    layout = Layout(cameras=1, patches=visual, proprio=0, prompts=(1,), slots=0)
    patches = Patches(tokens, torch.arange(visual).unsqueeze(0))
    choice = DivPrune(ratio, quota="global").select(View(LLM_INPUT, patches, layout, (Query(),)))
    return [*range(visual)] if choice is None else choice.keep[0].nonzero().flatten().tolist()
