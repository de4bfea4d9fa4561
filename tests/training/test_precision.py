"""Which numbers are bfloat16 in a training, and which are not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vla_bench.checkpoints.checkpoint import load
from vla_bench.interface.presets import NANO
from vla_bench.model.initialise import random_vla
from vla_bench.pruners.registry import make_pruner
from vla_bench.training import finetune
from vla_bench.training.precision import Precision
from vla_bench.training.recipe import recipe
from vla_bench.training.step import Loss


@pytest.mark.parametrize("pruner", ["lightvla", "lightvla-star-vision", "lightvla-star-llm1"])
def test_in_bfloat16_what_is_trained_whole_stays_float32(samples, dense, pruner):
    """As on CUDA: the paper's recipe adapts a bfloat16 network, with proprio projector and pruner in float32 beside it."""
    model = load(dense, device="cpu", dtype=torch.bfloat16, pruner=make_pruner(pruner)).model
    finetune.adapt(model, 4)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    whole = [p for name, p in trained.items() if name.startswith(("proprio_projector", "pruner"))]
    assert whole and all(p.dtype == torch.float32 for p in whole)
    loss = Loss(model).train()
    with torch.autocast("cpu", torch.bfloat16):
        value, _ = loss(samples.batch(0, 4))
        value.backward()
    read = [p for name, p in trained.items() if "lora" not in name and p.grad is not None]
    assert read and all(p.grad.isfinite().all() and p.grad.dtype == p.dtype for p in read)


def test_a_cpu_trains_in_bfloat16_when_asked_to(samples):
    model, cpu = random_vla(NANO, 0, None), torch.device("cpu")
    loss, batch, found = Loss(model, auxiliary=0.5).train(), samples.batch(0, 4), []
    for precision in (Precision.FLOAT32, Precision.AUTO, Precision.BFLOAT16):
        loss.zero_grad()
        with precision.on(cpu):
            value, _ = loss(batch)
        value.backward()
        found.append((value.detach(), torch.cat([p.grad.flatten() for p in loss.parameters() if p.grad is not None])))
    (exact, direction), auto, (near, close) = found
    assert torch.equal(auto[0], exact) and torch.equal(auto[1], direction)
    assert not torch.equal(near, exact) and near == pytest.approx(exact.item(), rel=0.02)
    assert close.dtype == torch.float32 and torch.cosine_similarity(close, direction, dim=0) > 0.99


def test_of_a_step_in_bfloat16_the_attention_is_float32():
    with Precision.BFLOAT16.on(torch.device("cpu")):
        x = F.linear(torch.ones(1, 1, 4, 8), torch.eye(8))
        assert x.dtype == torch.bfloat16 and F.scaled_dot_product_attention(x, x, x).dtype == torch.float32
    assert F.linear(torch.ones(4, 8), torch.eye(8)).dtype == torch.float32


def test_weights_that_are_all_trained_are_float32(dense, monkeypatch):
    asked = []
    monkeypatch.setattr(finetune, "load", lambda *a, **k: asked.append(k["dtype"]) or load(*a, **k))
    for rank in (0, 4):
        finetune.load_start(recipe("nano-lightvla").with_options(start=str(dense), lora_rank=rank), torch.device("cpu"))
    assert asked == [torch.float32, None]
