"""Compiled layers and captured graphs: one result for all layers, one graph for each pruner, the plain answer."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vla_bench.interface.presets import NANO
from vla_bench.model import fast as fast_module
from vla_bench.model.fast import FastVLA
from vla_bench.model.graphs import GraphCache
from vla_bench.model.initialise import random_vla
from vla_bench.model.speed import Speed
from vla_bench.pruners.lightvla import LightVLA
from vla_bench.pruners.registry import make_pruner

from ..fast_answers import EVERYTHING, QUERIES, same
from ..nanos import answer, kept, sample


def test_compiled_layers_share_one_result_and_answer_alike(batch):
    graphs = []

    def backend(graph, example):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    shallow = replace(NANO, dino=replace(NANO.dino, depth=2), siglip=replace(NANO.siglip, depth=2))  # whose blocks are compiled
    model = random_vla(replace(shallow, llm=replace(NANO.llm, layers=4)), seed=0).eval()
    model.attach(LightVLA().eval())
    fast = FastVLA(model, Speed.parse(f"{EVERYTHING},compile"), backend)
    number = []
    for i in (0, 4, 4, 4):
        same(fast(sample(batch, i)), answer(model, sample(batch, i)))
        number.append(len(graphs))
    # encode_images; then a layer and the last layer for each length, whatever the number of layers.
    assert number[0] == 3 and number[-1] <= 3 + 2 * 2 and number[-1] == number[-2]


def test_graphs_are_kept_by_key_and_the_oldest_is_dropped():
    captured = []

    def capture(function, given, pool):
        captured.append(given)
        return function

    replays = GraphCache(limit=2, capture=capture)
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
    passes = [key for key in keys if key[0] != "encode_images"]
    assert passes[0][0] is not passes[2][0] and passes[0][0] is passes[1][0] and passes[2][0] is passes[3][0]


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
