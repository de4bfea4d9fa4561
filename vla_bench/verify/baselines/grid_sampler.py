"""`baselines_grid_sampler.npz`: the released sampler on small feature maps, with its weights."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from vla_bench.pruners.grid_sampler import GridSampler
from vla_bench.verify.compare import ACTIVATIONS, Computed
from vla_bench.verify.fixture import Fixture

NETWORKS = {"scout": "scout_mlp", "encoder": "coord_encoder"}  # ours and the release's


def computed(given: Fixture) -> Iterator[Computed]:
    """Inputs: case*/{maps, w/*}."""
    for case in (name.removesuffix("maps") for name in given.names() if name.endswith("/maps")):
        maps = torch.as_tensor(given[case + "maps"]).flatten(1, 2)
        sampler = GridSampler()
        for own, released in NETWORKS.items():
            if f"{case}w/{released}.0.weight" in given.names():
                setattr(sampler, own, _network(given, f"{case}w/{released}."))
        with torch.no_grad():
            at = sampler.coordinates(maps)
            yield Computed(case + "coordinates", at, ACTIVATIONS, family="case*/coordinates")
            yield Computed(case + "tokens", sampler.tokens(maps, at), ACTIVATIONS, family="case*/tokens")


def _network(given: Fixture, name: str) -> nn.Sequential:
    layers = [nn.Linear(*reversed(given[f"{name}{i}.weight"].shape)) for i in (0, 2)]
    for i, layer in zip((0, 2), layers, strict=True):
        layer.weight.data, layer.bias.data = (torch.as_tensor(given[f"{name}{i}.{part}"]) for part in ("weight", "bias"))
    return nn.Sequential(layers[0], nn.ReLU(), layers[1])
