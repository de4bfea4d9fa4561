"""Muon and AdamW together: what Muon does to a matrix, and which weights it gets."""

from __future__ import annotations

import pytest
import torch

from vla_bench.interface.presets import NANO
from vla_bench.model.initialise import random_vla
from vla_bench.training.muon import Muon, orthogonalise
from vla_bench.training.optimiser import Optimisers, is_matrix
from vla_bench.training.recipe import RECIPES


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 8, 40), (2, 40, 8)])
def test_singular_values_become_one(shape):
    found = torch.linalg.svdvals(orthogonalise(torch.randn(shape, generator=torch.Generator().manual_seed(0))))
    assert found.min() > 0.3 and found.max() < 1.3  # the quintic reaches 0.7 to 1.2 but for the smallest values


def test_muon_is_pytorchs_but_for_rounding():
    """PyTorch iterates in bfloat16, three digits."""
    draw = torch.Generator().manual_seed(0)
    start = [torch.randn(shape, generator=draw) for shape in ((24, 24), (24, 24), (48, 12), (12, 48))]
    gradients = [[torch.randn(p.shape, generator=draw) for p in start] for _ in range(4)]
    ends = []
    for kind in (Muon, torch.optim.Muon):
        weights = [torch.nn.Parameter(p.clone()) for p in start]
        optimiser = kind(weights, lr=0.1, weight_decay=0.1)
        for step in gradients:
            for p, gradient in zip(weights, step, strict=True):
                p.grad = gradient.clone()
            optimiser.step()
        ends.append(weights)
    for ours, theirs, before in zip(*ends, start, strict=True):
        moved = (theirs - before).norm()
        assert (ours - theirs).norm() < 0.03 * moved


def test_averages_stay_float32_beside_bfloat16_weights():
    weight = torch.nn.Parameter(torch.eye(4, dtype=torch.bfloat16))
    optimiser, again = Muon([weight], lr=0.1), Muon([weight], lr=0.1)
    for _ in range(2):
        weight.grad = torch.full((4, 4), 0.3, dtype=torch.bfloat16)
        optimiser.step()
    again.load_state_dict(optimiser.state_dict())
    average = again.state[weight]["average"]
    assert average.dtype == torch.float32 and torch.equal(average, optimiser.state[weight]["average"])
    optimiser.step()
    again.step()  # of its own memory
    assert torch.equal(again.state[weight]["average"], optimiser.state[weight]["average"])


def test_every_weight_has_one_optimiser():
    model = random_vla(NANO, 0)
    optimisers = Optimisers(RECIPES["nano-oft"], model)
    groups = [[id(p) for p in member.param_groups[0]["params"]] for member in optimisers.members]
    assert sorted(groups[0] + groups[1]) == sorted(map(id, model.parameters()))
    assert len(Optimisers(RECIPES["paper"], model).members) == 1
    names = dict(model.named_parameters())
    assert is_matrix("openvla.projector.fc1.weight", names["openvla.projector.fc1.weight"])
    for name in (
        "openvla.language_model.model.embed_tokens.weight",
        "action_head.model.fc2.weight",
        "openvla.projector.fc1.bias",
    ):
        assert not is_matrix(name, names[name])


def test_one_factor_moves_both_rates():
    model = random_vla(NANO, 0)
    optimisers = Optimisers(RECIPES["nano-oft"], model)
    for p in model.parameters():
        p.grad = torch.ones_like(p)
    optimisers.step(0.5)
    assert [member.param_groups[0]["lr"] for member in optimisers.members] == [5e-4, 0.0035]
    assert all(p.grad is None for p in model.parameters())
