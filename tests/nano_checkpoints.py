"""Random nano models on disk, as whoever trained one has them."""

from __future__ import annotations

import torch

from vla_bench.checkpoints.checkpoint import save
from vla_bench.interface.presets import NANO
from vla_bench.model.images import Normalisation
from vla_bench.model.initialise import RANDOM_STATISTICS, random_vla
from vla_bench.model.tokenizer import NANO_TOKENIZER
from vla_bench.pruners.registry import make_pruner


def checkpoint(
    folder, seed=0, statistics=RANDOM_STATISTICS, config=NANO, tokenizer=NANO_TOKENIZER, pruner=None, break_it=None, kind=None
):
    model = random_vla(config, seed)
    model.pruner = pruner
    if break_it:
        with torch.no_grad():
            break_it(model)
    kind = kind or ("lightvla" if pruner else "openvla-oft")
    normalisation = Normalisation()
    return save(folder, model, statistics=statistics, normalisation=normalisation, kind=kind, tokenizer_file=tokenizer)


def trained_star(folder, name: str = "lightvla-star-llm1"):
    """A checkpoint with a pruner that has learned something, and what it has learned."""
    pruner = make_pruner(name)
    model = random_vla(NANO, 0, pruner)
    with torch.no_grad():
        pruner.queries.normal_(generator=torch.Generator().manual_seed(7))
    what = {"statistics": RANDOM_STATISTICS, "normalisation": Normalisation(), "tokenizer_file": NANO_TOKENIZER}
    return save(folder, model, kind="lightvla", **what), pruner.queries.detach().clone()
