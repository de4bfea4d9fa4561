"""What one query costs, model and pruner together, from its cuts."""

from __future__ import annotations

from vla_bench.interface.config import VLAConfig
from vla_bench.interface.lengths import Case
from vla_bench.interface.needs import Need
from vla_bench.interface.pruner import Pruner
from vla_bench.model.costs import macs
from vla_bench.model.costs_decoding import decoding_macs
from vla_bench.values import Scope


def query_macs(pruner: Pruner | None, case: Case, scope: Scope = Scope.MODEL) -> dict[str, int]:
    """Multiply-adds of one query by module, as `costs.macs` has them, or `decoding_macs` where it is decoded token by token."""
    count = decoding_macs if case.decoded else macs
    return count(case.config, case.lengths, scope, pruner_macs(pruner, case))


def query_gflops(pruner: Pruner | None, case: Case) -> float:
    """GFLOP of one query in the scope `model`."""
    return 2e-9 * sum(query_macs(pruner, case).values())


def pruner_macs(pruner: Pruner | None, case: Case) -> int:
    """The method's own products, and those of the model that are made for it alone."""
    return 0 if pruner is None else pruner.macs(case) + attention_macs(pruner, case)


def attention_macs(pruner: Pruner, case: Case) -> int:
    """The attention that the model computes for a pruner alone.

    A layer's own kernel returns no weights: the requested rows are multiplied with all keys of their layer once more.
    """
    width = case.config.llm.width
    rows = sum(case.rows(rows.span, rows.layer) * case.seen(rows.layer) * width for rows in pruner.rows)
    return rows + (siglip_macs(case.config) if Need.VISION_ATTENTION in pruner.needs else 0)


def siglip_macs(config: VLAConfig) -> int:
    """Queries, keys and values of one SigLIP block once more, and their scores."""
    vit, tokens = config.siglip, config.vit_tokens(config.siglip)
    if config.sees(vit.depth - 2) == 0:
        return 0
    return config.cameras * (tokens * 3 * vit.width**2 + tokens**2 * vit.width)
