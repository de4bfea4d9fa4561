"""Every fast path answers as the plain one: the same image tokens kept, the same actions in float32."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.layout import Span
from vla_bench.interface.needs import Rows
from vla_bench.interface.presets import NANO
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import Patches
from vla_bench.model import buckets
from vla_bench.model import fast as fast_module
from vla_bench.model.buckets import Chooser
from vla_bench.model.costs import others
from vla_bench.model.fast import FastVLA
from vla_bench.model.graphs import Replays
from vla_bench.model.initialise import random_vla
from vla_bench.model.sequence import pack
from vla_bench.model.shortcuts import FastLayer
from vla_bench.model.speed import BUCKET, Speed, capacity
from vla_bench.model.stages import Stages
from vla_bench.pruners.lightvla import LightVLA
from vla_bench.pruners.registry import make_pruner
from vla_bench.records import EpisodeKey

from .. import nanos
from ..nanos import AtVision, ByAttention, Everywhere, answer, inputs, kept, sample

SWITCHES = ("cameras", "rows", "fused", "buckets")
EVERYTHING = ",".join(SWITCHES)
QUERIES = (0, 4, 7)  # of 8, with 5, 11 and 19 tokens of prompt
CLOSE = {"atol": 2e-5, "rtol": 0}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with nanos.one_thread():
        yield


@pytest.fixture(scope="module")
def model():
    return random_vla(NANO, seed=0).eval()


@pytest.fixture(scope="module")
def batch():
    return inputs(8)


@pytest.fixture
def use(model):
    def attach(pruner):
        pruner = make_pruner(pruner) if isinstance(pruner, str) else pruner
        model.attach(pruner if pruner is None else pruner.eval())
        return model

    yield attach
    model.attach(None)


def same(found, plain):
    torch.testing.assert_close(found.actions, plain.actions, **CLOSE)
    torch.testing.assert_close(found.slots, plain.slots, **CLOSE)
    for i in range(len(plain.actions)):
        assert kept(found, i) == kept(plain, i)
    assert found.kept_per_camera() == plain.kept_per_camera()


# --- the same answer


@pytest.mark.parametrize("pruner", ["none", "lightvla", "divprune", "score-siglip", "vla-adp(gate=off)"])
@pytest.mark.parametrize("speed", ["none", *SWITCHES, EVERYTHING])
def test_alone_and_together_they_answer_as_the_plain_path(use, batch, pruner, speed):
    model = use(pruner)
    fast = FastVLA(model, Speed.parse(speed))
    for i in QUERIES:
        plain, found = answer(model, sample(batch, i)), fast(sample(batch, i))
        same(found, plain)
        for (site, patches), (expected_site, expected) in zip(found.kept, plain.kept, strict=True):
            real = slice(None) if patches.valid is None else patches.valid[0]
            assert site == expected_site
            torch.testing.assert_close(patches.hidden[0, real], expected.hidden[0], **CLOSE)
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


@pytest.mark.parametrize("schedule", ["constant", "entropy"])  # entropy asks for all attention, of the last layer too
def test_a_pruner_that_reuses_keys_and_values(use, schedule):
    episode = EpisodeKey("object", 0, 0)
    pictures = np.ones((2, NANO.image_size, NANO.image_size, 3), np.uint8)  # nothing moves
    two = [sample(inputs(8, seed), 1) for seed in (0, 1)]
    two = [
        replace(q, queries=(replace(q.queries[0], episode=episode, step=8 * i, pictures=pictures),)) for i, q in enumerate(two)
    ]
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

        def after(self, queries, rows):
            self.found = rows[self.rows[0]].weights

    pruner = Last()
    model, one = use(pruner), sample(batch, 3)
    plain, weights = answer(model, one), pruner.found
    same(FastVLA(model, Speed(rows=True))(one), plain)
    torch.testing.assert_close(pruner.found, weights)


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

    from vla_bench.model.costs import Lengths, Scope, macs

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


def test_fused_copies_and_leaves_the_model_as_it_was(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = FastVLA(model, Speed(fused=True))
    after = model.state_dict()
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert isinstance(fast._shortcuts.layers[0], FastLayer) and fast._shortcuts.layers[0].qkv.shape == (3 * 128, 128)
    assert isinstance(model.openvla.language_model.model.layers[0].self_attn.q_proj, torch.nn.Linear)


# --- buckets


class Growing(Pruner):
    """Keeps as many as the step says, and counts how often it is asked."""

    name, sites = "growing", (LLM_INPUT,)
    asked = 0

    def select(self, view):
        self.asked += 1
        order = (view.patches.ids * 37) % 128
        return Selection(order < view.queries[0].step)


def test_a_bucket_holds_a_multiple_or_everything():
    rest = others(NANO, 11)
    for visual in range(129):
        columns = capacity(visual, rest, 128)
        assert visual <= columns <= 128 and (columns == 128 or (columns + rest) % BUCKET == 0)
        assert columns - visual < BUCKET


@pytest.mark.parametrize("speed", ["buckets", EVERYTHING])
def test_what_overflows_is_answered_again(use, batch, speed):
    pruner = Growing()
    model, fast = use(pruner), FastVLA(use(pruner), Speed.parse(speed))
    one = sample(batch, 4)
    columns, reruns = [], []
    for step in (5, 6, 90, 128, *range(7, 16)):
        query = replace(one, queries=(replace(one.queries[0], step=step),))
        before = pruner.asked
        found = fast(query)
        assert pruner.asked == before + 1  # one that remembers must not be asked twice
        columns.append(found.tokens.visual)
        reruns.append(fast.reruns)
        same(found, answer(model, query))
    least = capacity(0, others(NANO, 11), 128)
    assert columns == [128, least, capacity(90, others(NANO, 11), 128), *[128] * 9, least]  # eight queries later it is forgotten
    assert reruns == [0, 0, 1, *[2] * 10]


def test_lightvla_overflows_too(use, batch, monkeypatch):
    monkeypatch.setattr(buckets, "capacity", partial(capacity, multiple=1))
    model = use("lightvla")
    fast = FastVLA(model, Speed.parse(EVERYTHING))
    counts = []
    for i in (1, 0, 6):
        found, plain = fast(sample(batch, i)), answer(model, sample(batch, i))
        same(found, plain)
        counts.append(sum(plain.kept_per_camera()[0]))
        assert found.tokens.visual == (128 if i == 1 else counts[-1])
    assert counts == sorted(set(counts)) and fast.reruns == 2


@pytest.mark.parametrize("pruner", ["lightvla", "divprune"])
def test_padding_is_seen_by_nobody(use, batch, monkeypatch, pruner):
    model, one = use(pruner), sample(batch, 5)
    plain = answer(model, one)

    def dirty(patches, keep, columns):
        found = pack(patches, keep, columns)
        noise = 1e3 * torch.randn(found.hidden.shape, generator=torch.Generator().manual_seed(1))
        return Patches(torch.where(found.valid.unsqueeze(-1), found.hidden, noise), found.ids, found.valid)

    monkeypatch.setattr(buckets, "pack", dirty)
    fast = FastVLA(model, Speed.parse(EVERYTHING))
    for _ in range(2):
        found = fast(one)
        assert not found.tokens.valid.all()
        same(found, plain)


class NoWaiting(TorchDispatchMode):
    """Refuses what makes a host wait for its device: reading a number, sizes that depend on values, copies of lists."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "lift_fresh", "masked_select")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket.__name__ not in self.FORBIDDEN, f"{func} waits"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("speed", ["buckets", EVERYTHING])
@pytest.mark.parametrize("pruner", ["none", "lightvla"])
def test_the_static_pass_waits_for_nothing(use, batch, monkeypatch, pruner, speed):
    called = []

    def guarded(key, function, *given):
        called.append(key[0])
        with NoWaiting():
            return function(*given)

    fast = FastVLA(use(pruner), Speed.parse(speed))
    monkeypatch.setattr(fast._bucketed, "_call", guarded)
    fast(sample(batch, 0))
    assert called == ["look", Chooser.NOBODY if pruner == "none" else fast.model.pruner]  # which then chooses inside
    with pytest.raises(AssertionError, match="waits"), NoWaiting():
        answer(use("lightvla"), sample(batch, 0))  # the plain path does


def test_numbers_that_are_not_finite_are_caught_where_the_answer_is_read(use, batch):
    one = sample(batch, 0)
    fast = FastVLA(use("lightvla"), Speed(buckets=True))
    pixels = one.pixel_values.clone()
    pixels[0, 0, 3, 3] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        fast(replace(one, pixel_values=pixels))


def test_stages_are_those_of_the_plain_path_but_the_head(use, batch):
    found = {}
    for speed in ("rows", "buckets"):
        stages = Stages()
        FastVLA(use("grid"), Speed.parse(speed))(sample(batch, 0), stages)
        found[speed] = set(stages.milliseconds())
    assert found == {"rows": {"vision", "prune", "decoder", "head"}, "buckets": {"vision", "prune", "decoder"}}


# --- compiled, captured


def test_compiled_layers_share_one_result_and_answer_alike(batch):
    graphs = []

    def backend(graph, example):
        graphs.append(graph)
        return graph.forward

    torch._dynamo.reset()
    shallow = replace(NANO, dino=replace(NANO.dino, depth=2), siglip=replace(NANO.siglip, depth=2))  # whose blocks are compiled
    model = random_vla(replace(shallow, llm=replace(NANO.llm, layers=4)), seed=0).eval()
    model.attach(LightVLA().eval())
    fast = FastVLA(model, Speed.parse(f"{EVERYTHING},compile"), backend)
    number = []
    for i in (0, 4, 4, 4):
        same(fast(sample(batch, i)), answer(model, sample(batch, i)))
        number.append(len(graphs))
    # The look; then a layer and the last layer for each length, whatever the number of layers.
    assert number[0] == 3 and number[-1] <= 3 + 2 * 2 and number[-1] == number[-2]


def test_graphs_are_kept_by_key_and_the_oldest_is_dropped():
    captured = []

    def capture(function, given, pool):
        captured.append(given)
        return function

    replays = Replays(limit=2, capture=capture)
    for key in ("a", "b", "a", "c", "a", "b"):  # c drops b, b drops c
        assert replays(key, lambda x: (x + 1,), torch.zeros(1)) == (torch.ones(1),)
    assert len(captured) == 4


def test_a_graph_holds_the_choice_of_one_pruner(use, batch, monkeypatch):
    """What is captured under a key is run again for it, so two pruners that choose inside must have two."""
    keys = []
    monkeypatch.setattr(fast_module, "at_once", lambda key, function, *given: keys.append(key) or function(*given))
    fast = FastVLA(use(None), Speed.parse("buckets"))
    for pruner in (LightVLA(), LightVLA(mask_padding=False)):  # of one name
        for _ in range(2):
            use(pruner)
            fast(sample(batch, 2))
    thinking = [key for key in keys if key[0] != "look"]
    assert thinking[0][0] is not thinking[2][0] and thinking[0][0] is thinking[1][0] and thinking[2][0] is thinking[3][0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("speed", [f"{EVERYTHING},graphs", "all"])
@pytest.mark.parametrize("pruner", ["none", "lightvla", "divprune"])
def test_graphs_answer_as_the_plain_path(batch, pruner, speed):
    torch.backends.cuda.matmul.allow_tf32 = False
    model = random_vla(NANO, seed=0).eval().cuda()
    model.attach(None if pruner == "none" else make_pruner(pruner).eval())
    fast = FastVLA(model, Speed.parse(speed))
    for i in (*QUERIES, *QUERIES):
        one = sample(batch, i)
        one = replace(one, pixel_values=one.pixel_values.cuda(), proprio=one.proprio.cuda())
        plain, found = answer(model, one), fast(one)
        torch.testing.assert_close(found.actions, plain.actions.cpu(), atol=1e-4, rtol=0)
        assert kept(found, 0) == kept(plain, 0) and found.kept_per_camera() == plain.kept_per_camera()


# --- what is refused


def test_speeds_by_name():
    assert Speed.parse("none") == Speed() and str(Speed()) == "none"
    assert Speed.parse(" rows, fused") == Speed(rows=True, fused=True) == Speed.parse(str(Speed.parse("fused,rows")))
    assert str(Speed.parse("all")) == "cameras,rows,fused,buckets,compile,graphs"
    with pytest.raises(UsageError, match='unknown speed "row".*Did you mean "rows"'):
        Speed.parse("row,fused")
    for name in ("graphs", "compile"):
        with pytest.raises(UsageError, match=f"{name} needs buckets.*\n  fix: .*rows,{name},buckets"):
            Speed.parse(f"rows,{name}")


def test_speed_needs_no_torch():
    code = "import sys, vla_bench.model.speed; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


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
