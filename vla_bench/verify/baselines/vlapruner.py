"""`baselines_vlapruner.npz`: VLA-Pruner's choice for given scores, and its weighting of earlier attention."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from vla_bench.pruners.budget import top_k
from vla_bench.pruners.divprune import cosine_distances, farthest
from vla_bench.pruners.shares import count
from vla_bench.pruners.vla_pruner import decayed
from vla_bench.verify.compare import EXACT, Computed, Tolerance
from vla_bench.verify.fixture import Fixture

WEIGHTS = Tolerance(2e-6, floor=0.0)  # of a mean whose entries sum to 1, each being small


def computed(given: Fixture) -> Iterator[Computed]:
    """Inputs: select/case*/{r, guide, current, visual_features}; history/case*/{hist_oldest_first, decay}."""
    for case in (name.removesuffix("guide") for name in given.names("select/") if name.endswith("/guide")):
        yield from _select(given, case)
    for case in (name.removesuffix("decay") for name in given.names("history/") if name.endswith("/decay")):
        history, decay = torch.as_tensor(given[case + "hist_oldest_first"]), float(given[case + "decay"])
        for name, order in (("guided_as_released", "released"), ("guided_recent_heaviest", "paper")):
            yield Computed(case + name, decayed(history, decay, order), WEIGHTS, family=f"history/case*/{name}")


def _select(given: Fixture, case: str) -> Iterator[Computed]:
    guide, current = (torch.as_tensor(given[case + name]).unsqueeze(0) for name in ("guide", "current"))
    k = count(1 - float(given[case + "r"]), guide.shape[1])
    union = top_k(guide, k) | top_k(current, k)  # (1, V)
    members = union[0].nonzero().flatten()
    yield Computed(case + "union", members, EXACT, family="select/case*/union")
    features = torch.as_tensor(given[case + "visual_features"]).unsqueeze(0)
    picks = farthest(cosine_distances(features), union.unsqueeze(1), k)[0, 0]
    # With no more tokens than wanted the release keeps them all, in order.
    yield Computed(case + "kept_unsorted", picks if len(members) > k else members, EXACT, family="select/case*/kept_unsorted")
