"""Every fast path gives the plain model's results: the same image tokens kept, the same actions in float32."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vla_bench.errors import ModelError
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.layout import Span
from vla_bench.interface.needs import Rows
from vla_bench.interface.presets import NANO
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.model.fast import FastVLA
from vla_bench.model.initialise import random_vla
from vla_bench.model.shortcuts import FastLayer
from vla_bench.model.speed import Speed
from vla_bench.pruners.lightvla import LightVLA
from vla_bench.records import EpisodeKey

from ..fast_answers import CLOSE, EVERYTHING, QUERIES, SWITCHES, same
from ..nanos import AtVision, ByAttention, Everywhere, answer, inputs, kept, sample

# --- the same answer


@pytest.mark.parametrize("pruner", ["none", "lightvla", "divprune", "score-siglip", "vla-adp(gate=off)"])
@pytest.mark.parametrize("speed", ["none", *SWITCHES, EVERYTHING])
def test_alone_and_together_they_answer_as_the_plain_path(use, batch, pruner, speed):
    model = use(pruner)
    fast = FastVLA(model, Speed.parse(speed))
    for i in QUERIES:
        plain, found = answer(model, sample(batch, i)), fast(sample(batch, i))
        same(found, plain)
        for own, expected in zip(found.trace.sites, plain.trace.sites, strict=True):
            real = slice(None) if own.patches.valid is None else own.patches.valid[0]
            assert own.site == expected.site
            torch.testing.assert_close(own.patches.hidden[0, real], expected.patches.hidden[0], **CLOSE)
        if "rows" in speed:
            assert torch.equal(found.tokens.hidden, found.slots)
        else:
            real = slice(None) if found.tokens.valid is None else found.tokens.valid[0]
            torch.testing.assert_close(found.tokens.hidden[0, real], plain.tokens.hidden[0], **CLOSE)
            assert torch.equal(found.tokens.positions[0, real], plain.tokens.positions[0])


@pytest.mark.parametrize("speed", ["rows", "fused", "cameras,rows,fused"])
@pytest.mark.parametrize("pruner", [lambda: None, LightVLA, AtVision, ByAttention, Everywhere])
def test_batches_of_unequal_samples_and_pruning_between_layers(use, batch, pruner, speed):
    model = use(pruner())
    same(FastVLA(model, Speed.parse(speed))(batch), answer(model, batch))


@pytest.mark.parametrize("schedule", ["constant", "entropy"])  # entropy requests all attention, of the last layer too
def test_a_pruner_that_reuses_keys_and_values(use, schedule):
    episode = EpisodeKey("object", 0, 0)
    images = np.ones((2, NANO.image_size, NANO.image_size, 3), np.uint8)  # nothing moves
    two = [sample(inputs(8, seed), 1) for seed in (0, 1)]
    two = [replace(q, queries=(replace(q.queries[0], episode=episode, step=8 * i, images=images),)) for i, q in enumerate(two)]
    text = f"vla-cache(schedule={schedule}, task=20)"
    model = use(text)
    plain = [answer(model, q) for q in two]
    fast = FastVLA(use(text), Speed.parse("rows,fused"))
    for q, expected in zip(two, plain, strict=True):
        same(fast(q), expected)
    assert schedule == "entropy" or len(kept(expected, 0)[-1]) < 128  # or nothing was reused


def test_attention_asked_of_the_last_layer_is_found_there(use, batch):
    class Last(Pruner):
        name, sites, rows = "last", (LLM_INPUT,), (Rows(NANO.llm.layers - 1, Span.PROMPT),)

        def select(self, view):
            return None

        def after_pass(self, queries, rows):
            self.weights = rows[self.rows[0]].weights

    pruner = Last()
    model, one = use(pruner), sample(batch, 3)
    plain, weights = answer(model, one), pruner.weights
    same(FastVLA(model, Speed(rows=True))(one), plain)
    torch.testing.assert_close(pruner.weights, weights)


def test_the_other_action_slice_is_read_too(use, batch):
    model, one = use("lightvla"), sample(batch, 2)
    fast = FastVLA(model, Speed.parse(EVERYTHING))
    aligned = fast(one)
    model.action_slice = ActionSlice.REFERENCE
    try:
        same(fast(one), answer(model, one))
        assert (fast(one).actions - aligned.actions).abs().max() > 1e-3
    finally:
        model.action_slice = ActionSlice.ALIGNED


def test_cameras_one_by_one_see_the_same(model, batch):
    vision = model.openvla.vision_backbone
    with torch.no_grad():
        together, alone = (vision.with_attention(batch.pixel_values, way) for way in (True, False))
        torch.testing.assert_close(vision(batch.pixel_values, together=False), together[0], **CLOSE)
    for first, second in zip(together, alone, strict=True):
        torch.testing.assert_close(first, second, **CLOSE)
    calls = []
    hook = vision.featurizer.register_forward_hook(lambda module, args, output: calls.append(len(args[0])))
    try:
        for speed in ("none", "cameras"):
            FastVLA(model, Speed.parse(speed))(sample(batch, 0))
    finally:
        hook.remove()
    assert calls == [1, 1, 2]


# --- what is left out is left out


def test_rows_and_fused_do_less(use, batch):
    from torch.utils.flop_counter import FlopCounterMode

    from vla_bench.interface.lengths import Lengths
    from vla_bench.model.costs import macs
    from vla_bench.values import Scope

    model, one = use(None), sample(batch, 0)

    def flops(speed):
        counter = FlopCounterMode(display=False)
        fast = FastVLA(model, Speed.parse(speed))
        with counter:
            fast(one)
        return counter.get_total_flops()

    lengths = Lengths.even(NANO, len(one.prompts[0]), 128)
    whole, some = (macs(NANO, lengths, Scope.EXECUTED, rows=rows) for rows in (False, True))
    # On a CPU the counter does not see attention, so only the linear layers can be compared; fused, they are as many.
    assert flops("none") - flops("rows") == 2 * (whole["llm_linear"] - some["llm_linear"])
    assert flops("rows") == flops("rows,fused")


def test_fused_copies_and_leaves_the_model_as_it_was(model, batch):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fused, plain = FastVLA(model, Speed(fused=True)), FastVLA(model, Speed(rows=True))
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    layer = model.openvla.language_model.model.layers[0]
    copied = FastLayer(layer, fused=True)
    assert copied.qkv.shape == (3 * 128, 128) and len(copied.gate_up) == len(layer.mlp.gate_proj.weight) * 2
    calls = []
    parts = (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj, layer.mlp.gate_proj, layer.mlp.up_proj)
    hooks = [part.register_forward_hook(lambda *_: calls.append(1)) for part in parts]
    try:
        fused(sample(batch, 0))
        assert not calls
        plain(sample(batch, 0))
        assert len(calls) == len(parts)
    finally:
        for hook in hooks:
            hook.remove()


# --- what is refused


def test_what_cannot_be_is_refused(use, model, batch):
    with pytest.raises(ModelError, match="speed graphs: CUDA graphs need a CUDA device, and the model is on cpu"):
        FastVLA(model, Speed.parse("all"))
    one, fast = sample(batch, 0), FastVLA(model, Speed(buckets=True))
    with pytest.raises(ModelError, match="one query at a time, not 8"):
        fast(batch)
    for pruner in (Everywhere(), ByAttention(), AtVision()):
        use(pruner)
        with pytest.raises(ModelError, match=f"speed buckets: {pruner.label} does not act at the LLM's input alone"):
            fast(one)
    use("pool")
    with pytest.raises(ModelError, match="speed buckets: pool.* does more than choose"):
        fast(one)
    use("lightvla").pruner.train()
    with pytest.raises(ModelError, match="lightvla is in training mode"):
        fast(one)
    use(None).train()
    try:
        with pytest.raises(ModelError, match="the model is in training mode"):
            fast(one)
    finally:
        model.eval()


def test_fused_refuses_an_adapter_beside_the_weights():
    model = random_vla(NANO, seed=0).eval()
    attention = model.openvla.language_model.model.layers[2].self_attn
    attention.k_proj = torch.nn.Sequential(attention.k_proj)  # calls the weight, as an adapter does, and is more than it
    with pytest.raises(ModelError, match="a projection is a Sequential and not a plain weight"):
        FastVLA(model, Speed(fused=True))
    same(FastVLA(model, Speed(rows=True))(inputs(1)), answer(model, inputs(1)))
