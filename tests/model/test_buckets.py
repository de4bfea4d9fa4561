"""A query in a bucket: the plain actions whatever was predicted, padding without effect, and no wait for the device."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from vla_bench.errors import ModelError
from vla_bench.interface.presets import NANO
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import Patches
from vla_bench.model import buckets
from vla_bench.model import fast as fast_module
from vla_bench.model.buckets import SelectedBy
from vla_bench.model.costs import others
from vla_bench.model.fast import FastVLA
from vla_bench.model.sequence import pack
from vla_bench.model.speed import Speed, capacity
from vla_bench.model.stages import Stages

from ..fast_answers import EVERYTHING, same
from ..nanos import answer, sample


class Growing(Pruner):
    """Keeps as many as the step says, and counts its calls."""

    name, sites = "growing", (LLM_INPUT,)
    calls = 0

    def select(self, view):
        self.calls += 1
        order = (view.patches.ids * 37) % 128
        return Selection(order < view.queries[0].step)


@pytest.mark.parametrize("speed", ["buckets", EVERYTHING])
def test_what_overflows_is_answered_again(use, batch, speed):
    pruner = Growing()
    model, fast = use(pruner), FastVLA(use(pruner), Speed.parse(speed))
    one = sample(batch, 4)
    columns, reruns = [], []
    for step in (5, 6, 90, 128, *range(7, 16)):
        query = replace(one, queries=(replace(one.queries[0], step=step),))
        before = pruner.calls
        found = fast(query)
        assert pruner.calls == before + 1  # one with memory must not be called twice
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

    monkeypatch.setattr(fast_module, "at_once", guarded)
    fast = FastVLA(use(pruner), Speed.parse(speed))
    fast(sample(batch, 0))
    assert called == ["encode_images", SelectedBy.NOTHING if pruner == "none" else fast.model.pruner]  # which then chooses inside
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
