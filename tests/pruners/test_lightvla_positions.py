"""`lightvla(positions=contiguous)`: the same choice and cost, and what a decoder answers to the kept embeddings alone."""

from __future__ import annotations

import pytest
import torch

from vla_bench.checkpoints.checkpoint import load
from vla_bench.checkpoints.known import WEIGHTS
from vla_bench.interface.lengths import Case
from vla_bench.interface.view import Patches
from vla_bench.model.fast import FastVLA
from vla_bench.model.query_costs import query_macs
from vla_bench.model.sequence import Tokens
from vla_bench.model.speed import Speed
from vla_bench.pruners.registry import canonical, make_pruner

from ..fast_answers import EVERYTHING, same
from ..nanos import answer, inputs, kept, one_thread, sample

CONTIGUOUS = "lightvla(positions=contiguous)"


@pytest.fixture(scope="module", autouse=True)
def a_thread():
    with one_thread():
        yield


@pytest.fixture(scope="module")
def model():
    return load(WEIGHTS / "nano-lightvla", device="cpu", pruner=None).model


def use(model, text: str):
    model.attach(make_pruner(text).eval())
    return model


@torch.no_grad()
def alone(model, one, ids: list[int], positions: torch.Tensor | None = None) -> torch.Tensor:
    """Actions of a dense pass over BOS, the image tokens `ids` and the task tokens; at 0, 1, 2, ... or at `positions`."""
    layout = model.layout(one, model.config.slots)
    features, _ = model.encode_images(one.pixel_values, attention=False)
    patches = Patches(model.openvla.projector(features), torch.arange(layout.visual).unsqueeze(0))
    whole = model.join(patches, *model.text(one.prompts, layout.slots, features.device), one.proprio, layout)
    columns = torch.tensor([0, *(1 + i for i in ids), *range(1 + layout.visual, whole.hidden.shape[1])])
    if positions is None:
        positions = torch.arange(len(columns)).unsqueeze(0)
    few = Tokens(whole.hidden[:, columns], positions, None, torch.tensor([ids]), layout)
    last = model.openvla.language_model(few)
    return model.answer(last.hidden[:, model.read(last)])


def test_the_default_keeps_the_positions_and_its_name():
    assert canonical("lightvla(positions=keep)") == "lightvla" and not make_pruner("lightvla").renumber
    assert canonical(CONTIGUOUS) == CONTIGUOUS and make_pruner(f"plus-random({CONTIGUOUS})").renumber


@pytest.mark.parametrize("i", [0, 1, 7])
def test_contiguous_is_a_dense_pass_over_the_kept_embeddings_alone(model, i):
    one = sample(inputs(8), i)
    own, anew = (answer(use(model, text), one) for text in ("lightvla", CONTIGUOUS))
    (ids,) = kept(own, 0)
    assert kept(anew, 0) == [ids] and 0 < len(ids) < 128
    torch.testing.assert_close(anew.actions, alone(model, one, ids), rtol=0, atol=1e-5)
    torch.testing.assert_close(own.actions, alone(model, one, ids, own.tokens.positions), rtol=0, atol=1e-5)
    assert (own.actions - anew.actions).abs().max() > 1e-3


def test_a_batch_and_the_fast_pass_number_each_sample_alone(model):
    batch = inputs(5)
    together = answer(use(model, CONTIGUOUS), batch)
    fast = FastVLA(model, Speed.parse(EVERYTHING))
    for i in range(5):
        one = sample(batch, i)
        plain = answer(model, one)
        torch.testing.assert_close(together.actions[i], plain.actions[0], rtol=0, atol=1e-5)
        assert plain.tokens.positions[0].tolist() == list(range(plain.tokens.positions.shape[1]))
        same(fast(one), plain)


def test_the_cost_of_a_query_is_the_same(model):
    one = sample(inputs(8), 1)
    costs = []
    for text in ("lightvla", CONTIGUOUS):
        (trace,) = answer(use(model, text), one).trace.read()
        costs.append(query_macs(model.pruner, Case(model.config, len(one.prompts[0]), trace.cuts)))
    assert costs[0] == costs[1]
