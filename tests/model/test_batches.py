"""Pruning and batching the nano model change nothing that they should not."""

import pytest
import torch

from vla_bench.errors import ModelError
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.presets import NANO
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT, VISION, before_layer
from vla_bench.model.initialise import random_vla
from vla_bench.model.vla import Inputs
from vla_bench.pruners.lightvla import LightVLA

from ..nanos import AtVision, BeforeLightVLA, ByAttention, Everywhere, KeepAll, answer, inputs, kept, one_thread, sample

PRUNERS = {
    "dense": lambda: None,
    "LLM input": LightVLA,
    "vision output": AtVision,
    "before layer 1": ByAttention,
    "vision output and LLM input": BeforeLightVLA,
    "everywhere": Everywhere,
}


@pytest.fixture(scope="module")
def model():
    with one_thread():
        yield random_vla(NANO, seed=0).eval()


@pytest.fixture
def with_pruner(model):
    """The model with a pruner, for one test, and with a pad token that would show wherever it is read."""

    def put(pruner):
        model.pruner = None if pruner is None else pruner.eval()
        return model

    pad = model.openvla.language_model.model.embed_tokens.weight.data[NANO.tokens.pad]
    pad.copy_(torch.linspace(-1, 1, len(pad)))
    yield put
    pad.zero_()
    model.pruner = None


def test_attention_is_bidirectional(model):
    model.openvla.language_model.check_bidirectional()
    batch = inputs(1)
    changed = Inputs(batch.pixel_values, ((*batch.prompts[0][:-2], 40, batch.prompts[0][-1]),), batch.proprio)
    first, second = (answer(model, x).tokens.hidden[0, 0] for x in (batch, changed))
    assert (first - second).abs().max() > 1e-3  # BOS sees the prompt behind it


def test_a_causal_decoder_is_refused():
    decoder = random_vla(NANO, 0).openvla.language_model
    decoder.model.set_attn_implementation("sdpa")  # what an unused attention function amounts to
    with pytest.raises(ModelError, match="not bidirectional"):
        decoder.check_bidirectional()


@pytest.mark.parametrize("place", PRUNERS)
def test_a_batch_equals_its_samples(with_pruner, place):
    model, batch = with_pruner(PRUNERS[place]()), inputs(8)
    together = answer(model, batch)
    counts = []
    for i in range(8):
        alone = answer(model, sample(batch, i))
        torch.testing.assert_close(together.actions[i], alone.actions[0], atol=1e-5, rtol=0)
        torch.testing.assert_close(together.slots[i], alone.slots[0], atol=1e-5, rtol=0)
        assert kept(together, i) == kept(alone, 0)
        assert together.kept_per_camera()[i] == alone.kept_per_camera()[0]
        valid = together.tokens.valid[i]
        assert torch.equal(together.tokens.positions[i][valid], alone.tokens.positions[0])
        torch.testing.assert_close(together.tokens.hidden[i][valid], alone.tokens.hidden[0], atol=1e-5, rtol=0)
        counts.append(tuple(map(len, kept(alone, 0))))
    if place != "dense":
        assert len(set(counts)) > 4 and all(0 < c[-1] < 128 for c in counts), counts  # unequal, or this shows little


def test_a_sample_does_not_depend_on_its_neighbours(with_pruner):
    model, batch = with_pruner(LightVLA()), inputs(8)
    other = inputs(8, seed=1)
    mixed = Inputs(
        torch.cat([batch.pixel_values[:1], other.pixel_values[1:]]),
        (batch.prompts[0], *other.prompts[:0:-1]),
        torch.cat([batch.proprio[:1], other.proprio[1:]]),
    )
    one, two = answer(model, batch), answer(model, mixed)
    torch.testing.assert_close(one.actions[0], two.actions[0], atol=1e-5, rtol=0)
    assert kept(one, 0) == kept(two, 0) and (one.actions[1] - two.actions[1]).abs().max() > 0.01


def test_the_head_reads_the_slots_of_its_action_slice(with_pruner):
    model, batch = with_pruner(LightVLA()), inputs(1)
    aligned = answer(model, batch)
    model.action_slice = ActionSlice.REFERENCE
    try:
        reference = answer(model, batch)
    finally:
        model.action_slice = ActionSlice.ALIGNED
    assert torch.equal(aligned.slots, aligned.tokens.hidden[:, -58:-2])
    assert torch.equal(reference.slots, reference.tokens.hidden[:, -56:])


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("size", [1, 3])
def test_keeping_everything_is_dense_bit_for_bit(with_pruner, silent, size):
    batch = inputs(size)
    dense = answer(with_pruner(None), batch)
    full = answer(with_pruner(KeepAll(silent)), batch)
    assert torch.equal(dense.actions, full.actions) and torch.equal(dense.tokens.hidden, full.tokens.hidden)
    assert torch.equal(dense.tokens.positions, full.tokens.positions)


@pytest.mark.parametrize("site", [VISION, LLM_INPUT, before_layer(4)], ids=str)
def test_kept_tokens_stay_in_order_at_their_own_positions(with_pruner, site):
    class EveryFifth(Pruner):
        name, sites = "every-fifth", (site,)

        def select(self, view):
            return Selection(torch.arange(128).expand_as(view.patches.ids) % 5 == 0)

    batch = inputs(1)
    output = answer(with_pruner(EveryFifth()), batch)
    assert kept(output, 0) == [list(range(0, 128, 5))] and output.kept_per_camera() == [(13, 13)]
    tail = range(129, 129 + 1 + len(batch.prompts[0]) + 56 + 1)
    assert output.tokens.positions[0].tolist() == [0, *range(1, 129, 5), *tail]


@pytest.mark.parametrize("place", ["dense", "LLM input"])
def test_leaving_out_what_nobody_reads_changes_nothing(with_pruner, place):
    model, batch = with_pruner(PRUNERS[place]()), inputs(2)
    lean = answer(model, batch)
    model.lean = False
    try:
        full = answer(model, batch)
    finally:
        model.lean = True
    assert torch.equal(lean.actions, full.actions)
