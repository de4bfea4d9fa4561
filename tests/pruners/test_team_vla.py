"""TEAM-VLA: its equations against loops over patches, and what is left in the model at each of its two places."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.nanos import answer, inputs, kept
from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.presets import NANO
from vla_bench.interface.sites import before_layer
from vla_bench.interface.view import Query
from vla_bench.model.initialise import random_vla
from vla_bench.pruners.team_vla import TEAMVLA, expand, most_alike, soft_merge
from vla_bench.records import EpisodeKey

DRAW = np.random.default_rng(0)


@pytest.fixture(scope="module")
def model():
    return random_vla(NANO, 0).eval()


def use(model, **options):
    model.attach(TEAMVLA(**options).eval())
    return model


# Equations


def test_most_alike_is_the_argmax_of_the_cosine_for_each_real_token():
    images, text = DRAW.normal(size=(2, 9, 4)), DRAW.normal(size=(2, 3, 4))
    real = np.array([[True, True, True], [True, False, False]])
    expected = np.zeros((2, 9), bool)
    for n, t in zip(*real.nonzero(), strict=True):
        cosines = [image @ text[n, t] / np.linalg.norm(image) / np.linalg.norm(text[n, t]) for image in images[n]]
        expected[n, np.argmax(cosines)] = True
    assert most_alike(*map(torch.tensor, (images, text, real))).tolist() == expected.tolist()


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("tau", [0.0, 1.0, 2.0])
def test_expand_activates_all_neighbours_of_dense_places_and_lucky_ones_of_thin_places(kernel, tau):
    seeds, lucky = DRAW.random((3, 49)) < 0.12, DRAW.random((3, 49)) < 0.5
    reach, expected = kernel // 2, seeds.copy()
    for n, place in np.ndindex(3, 49):
        around = [
            7 * row + column
            for row in range(max(0, place // 7 - reach), min(7, place // 7 + reach + 1))
            for column in range(max(0, place % 7 - reach), min(7, place % 7 + reach + 1))
        ]
        density = seeds[n, around].sum()
        for patch in around:
            expected[n, patch] |= density > tau or (density > 0 and lucky[n, patch])
    assert expand(torch.tensor(seeds), kernel, tau, torch.tensor(lucky)).tolist() == expected.tolist()


def test_soft_merge_shares_every_target_among_the_sources():
    sources, targets = DRAW.normal(size=(3, 8)), DRAW.normal(size=(5, 8))

    def rms(x):
        return x / (math.sqrt((x * x).mean()) + 1e-6)

    total, weight = sources.copy(), np.ones(3)
    for target in targets:
        logits = np.array([rms(source) @ rms(target) for source in sources]) / math.sqrt(8)
        share = np.exp(logits) / np.exp(logits).sum()
        total, weight = total + np.outer(share, target), weight + share
    assert np.allclose(soft_merge(torch.tensor(sources), torch.tensor(targets)), total / weight[:, None], atol=1e-6)
    assert weight.sum() == pytest.approx(3 + 5)


# In the model


def test_in_the_end_only_so_many_are_left(model):
    for trace in answer(use(model, keep=20), inputs(4)).trace.read():
        pruned, merged = trace.cuts
        assert (pruned.site, merged.site) == ("LLM input", "before layer 3")  # 16 of 32 layers
        assert 20 < pruned.kept < 128 and pruned.merged == 0 and (merged.kept, merged.merged) == (0, 20)


def test_what_is_fewer_is_left_as_it_is(model):
    together = answer(use(model, keep=90), inputs(4))
    counts = [trace.cuts[0].kept for trace in together.trace.read()]
    assert min(counts) < 90 < max(counts), counts
    for trace, before in zip(together.trace.read(), counts, strict=True):
        assert trace.cuts[-1].after == min(before, 90) and (trace.cuts[-1].merged > 0) == (before > 90)
    assert all(len(trace.cuts) == 1 for trace in answer(use(model, keep=128), inputs(4)).trace.read())


def test_the_context_is_a_share_of_what_is_not_foreground(model):
    foreground = [set(kept(answer(use(model, keep=128, context=0), inputs(3)), i)[0]) for i in range(3)]
    with_context = [set(kept(answer(use(model, keep=128, context=0.3), inputs(3)), i)[0]) for i in range(3)]
    for few, more in zip(foreground, with_context, strict=True):
        assert few < more and len(more) == len(few) + round(0.3 * (128 - len(few)))


def test_the_draws_belong_to_episode_step_and_seed(model):
    def ask(episode: int, step: int, **options) -> list[int]:
        query = Query(EpisodeKey("spatial", 0, episode), step)
        return kept(answer(use(model, keep=128, **options), replace(inputs(1), queries=(query,))), 0)

    assert ask(0, 0) == ask(0, 0)
    assert ask(0, 0) != ask(0, 8) and ask(0, 0) != ask(1, 0) and ask(0, 0) != ask(0, 0, seed=5)
    assert ask(0, 0, chance=1, context=0) == ask(1, 8, chance=1, context=0)


def test_errors_and_settings(model):
    for options in ({"kernel": 2}, {"tau": -1.0}, {"context": 1.1}, {"chance": -0.1}, {"layer": 0}):
        with pytest.raises(UsageError, match="must be odd"):
            TEAMVLA(**options)
    assert use(model, layer=2).pruner.sites[-1] == before_layer(2)
    broken = random_vla(NANO, 0).eval()
    broken.openvla.projector.fc3.weight.data[0, 0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        answer(use(broken), inputs(1))
