"""VLA-Pruner: candidates from reading and acting, thinning, the memory of an episode, and all of it inside the model."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache

import pytest
import torch

from tests.nanos import answer, inputs, kept, sample
from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.layout import Layout
from vla_bench.interface.presets import NANO
from vla_bench.interface.sites import LLM_INPUT, before_layer
from vla_bench.interface.view import AttentionRows, Patches, Query, View
from vla_bench.model.initialise import random_vla
from vla_bench.model.vla import VLA
from vla_bench.pruners.spec import arguments
from vla_bench.pruners.vla_pruner import VLAPruner, decayed
from vla_bench.records import EpisodeKey
from vla_bench.verify.baselines import oft_spans, vlapruner
from vla_bench.verify.compare import CheckStatus, judge
from vla_bench.verify.fixture import Fixture, read

CHECKS = {"baselines_vlapruner.npz": vlapruner.computed, "baselines_oft_spans.npz": oft_spans.computed}
FIRST, SECOND = EpisodeKey("spatial", 0, 0), EpisodeKey("spatial", 0, 1)

NANO_MODEL = cache(lambda: random_vla(NANO, 0).eval())  # drawing its weights takes longer than all its answers


def model(**options) -> VLA:
    found = deepcopy(NANO_MODEL())
    found.attach(VLAPruner(**options).eval())
    return found


# Values of the release


@pytest.mark.parametrize("name, families", [("baselines_vlapruner.npz", 4), ("baselines_oft_spans.npz", 2)])
def test_the_release_is_reproduced_and_nothing_is_left_unread(shared, name, families):
    rows = judge(name, given := read(shared(f"fixtures/{name}")), CHECKS[name](given))
    assert [row for row in rows if row.verdict is not CheckStatus.OK] == [] and len(rows) == families
    assert all(("transcription" in row.family) == ("oft_spans" in name) for row in rows)


@pytest.mark.parametrize(
    "name, tensor",
    [
        ("baselines_vlapruner.npz", "select/case0/union"),
        ("baselines_vlapruner.npz", "select/case1/kept_unsorted"),
        ("baselines_vlapruner.npz", "history/case0/guided_as_released"),
        ("baselines_vlapruner.npz", "history/case1/guided_recent_heaviest"),
        ("baselines_oft_spans.npz", "case0/keep_indices"),
        ("baselines_oft_spans.npz", "case4/keep_indices"),
    ],
)
def test_a_changed_value_misses(shared, name, tensor):
    given = read(shared(f"fixtures/{name}"))
    tensors = {each: given[each].copy() for each in given.names()}
    tensors[tensor][0] += 1e-6 if "history" in tensor else 1
    rows = judge(name, changed := Fixture(tensors), CHECKS[name](changed))
    assert len([row for row in rows if row.verdict is CheckStatus.MISS]) == 1


# By hand


def test_decayed():
    history = torch.tensor([[1.0, 0, 3], [0, 2, 2]])  # the oldest first, weights 1/2 and 1
    assert torch.allclose(decayed(history, 0.5, "paper"), torch.tensor([0.5, 2.0, 3.5]) / 6)
    assert torch.allclose(decayed(history, 0.5, "released"), torch.tensor([1.0, 1.0, 4.0]) / 6)


def choose(pruner: VLAPruner, hidden, reading, acting, query: Query = Query(), cameras: int = 1, ids=None) -> list[int]:  # noqa: B008
    """The ids kept of one sample whose text and action slots pay this attention to its image tokens, in two heads."""
    ids = torch.arange(len(reading)) if ids is None else torch.tensor(ids)
    hidden = torch.tensor(hidden)[None]
    layout = Layout(cameras, hidden.shape[1] // cameras, 0, (1,), 2)
    everything = Patches(hidden, torch.arange(hidden.shape[1])[None])
    assert pruner.select(View(LLM_INPUT, everything, layout, (query,))) is None
    rows = {}
    for request, paid in ((pruner.reading, reading), (pruner.acting, acting)):
        weights = torch.tensor([0.0, *paid]).expand(1, 2, 3, -1)  # BOS comes first
        rows[request] = AttentionRows(weights, None, range(1, 1 + len(ids)))
    here = Patches(hidden[:, ids], ids[None])
    choice = pruner.select(View(before_layer(3), here, layout, (query,), rows=rows))
    return [*range(len(ids))] if choice is None else ids[choice.keep[0]].tolist()


AXES = [[1.0, 0, 0], [1.0, 0.1, 0], [0, 1.0, 0], [0, 1.0, 0.1], [0, 0, 1.0], [0, 0, 1.0]]


def test_reading_and_acting_both_bring_candidates_and_alike_ones_leave():
    # The text wants 0, 1; the actions 1, 4.  Of 0, 1, 4 the last is farthest from its nearest; 0 and 1 are equally far from
    # it, and the smaller index stays.
    assert choose(VLAPruner(keep=2), AXES, [9, 8, 0, 0, 0, 1], [0, 8, 0, 0, 9, 1]) == [0, 4]
    # Both want the same: there is nothing to thin out, however alike.
    assert choose(VLAPruner(keep=2), AXES, [9, 8, 0, 0, 0, 1], [9, 8, 0, 0, 0, 1]) == [0, 1]
    assert choose(VLAPruner(keep=1.5 / 6), AXES, [9, 8, 0, 0, 0, 1], [8, 9, 0, 0, 0, 1]) == [0, 1]  # 1.5 rounds to 2
    assert choose(VLAPruner(keep=1 / 6), AXES, [0, 0, 0, 3, 0, 1], [0, 0, 0, 3, 0, 1]) == [3]
    assert choose(VLAPruner(keep=0), AXES, [0, 0, 0, 3, 0, 1], [0, 0, 0, 3, 0, 1]) == []
    assert choose(VLAPruner(keep=6), AXES, [0, 0, 0, 3, 0, 1], [0, 0, 0, 3, 0, 1]) == [0, 1, 2, 3, 4, 5]


def test_every_camera_is_thinned_by_itself():
    reading, acting = [9, 1, 0, 9, 1, 0], [9, 0, 8, 0, 9, 8]
    assert choose(VLAPruner(keep=2), AXES, reading, acting, cameras=2) == [0, 3]
    assert choose(VLAPruner(keep=4), AXES, reading, acting, cameras=2) == [0, 2, 3, 4]  # 0 1 2 and 3 4 5, two of each
    # The second camera has its own candidates, though the first has two that are wanted more.
    assert choose(VLAPruner(keep=2), AXES, [9, 0, 0, 0, 0, 9], [9, 8, 0, 7, 0, 0], cameras=2) == [0, 3]
    assert choose(VLAPruner(keep=2), AXES, [9, 8, 0, 7, 0, 0], [9, 0, 0, 0, 0, 9], cameras=2) == [0, 3]
    assert choose(VLAPruner(keep=2, quota="global"), AXES, [9, 8, 0, 0, 0, 0], [9, 8, 0, 0, 0, 0], cameras=2) == [0, 1]


def test_tokens_that_have_left_before_are_not_missed():
    assert choose(VLAPruner(keep=2), AXES, [9, 1, 0, 0], [0, 1, 0, 9], ids=[1, 2, 4, 5]) == [1, 5]
    assert choose(VLAPruner(keep=2), AXES, [9, 8, 0, 0], [0, 0, 9, 8], ids=[0, 2, 4, 5]) == [0, 2]  # 4 and 5 are alike


def test_the_last_queries_say_what_acting_needs():
    def run(pruner, seen, key=FIRST):
        return [choose(pruner, AXES, [0.0] * 5 + [0.01], acting, Query(key, i))[0] for i, acting in enumerate(seen)]

    a, b, c = [9.0, 0, 0, 0, 0, 0], [0, 0, 9.0, 0, 0, 0], [0, 0, 0, 0, 9.0, 0]
    options = {"keep": 1 / 6, "rater": "last"}

    assert run(VLAPruner(**options), [a, b, c]) == [0, 2, 4]
    # The first query has only its own; then the newest of those before counts most, or the oldest.
    assert run(VLAPruner(**options, use_temporal=True), [a, b, c, a]) == [0, 0, 2, 4]
    assert run(VLAPruner(**options, use_temporal=True, order="released"), [a, b, c, a]) == [0, 0, 0, 0]
    # Two of a weigh more than one newer b; and what is older than the window is forgotten.
    assert run(VLAPruner(**options, use_temporal=True), [a, a, b, c]) == [0, 0, 0, 0]
    assert run(VLAPruner(**options, use_temporal=True, window=1), [a, a, b, c]) == [0, 0, 0, 2]
    pruner = VLAPruner(**options, use_temporal=True)
    assert run(pruner, [a, a]) == [0, 0] and run(pruner, [b, b], SECOND) == [2, 2]
    pruner.reset(FIRST)
    assert run(pruner, [c, c]) == [4, 4]


# Inside the model


@pytest.mark.parametrize("rater", ["text", "prefill", "last"])
@pytest.mark.parametrize(
    "options, expected", [({"keep": 0.25}, (16, 16)), ({"keep": 11}, (6, 5)), ({"keep": 0.5, "layer": 2}, (32, 32))]
)
def test_every_query_keeps_its_count(rater, options, expected):
    assert answer(model(rater=rater, **options), inputs(3)).kept_per_camera() == [expected] * 3


def test_a_common_pool_keeps_its_count():
    assert [sum(found) for found in answer(model(keep=0.25, quota="global"), inputs(3)).kept_per_camera()] == [32] * 3


@pytest.mark.parametrize(
    "options", [{"keep": 1.0}, {"keep": 128, "use_temporal": True}, {"keep": 0.995, "quota": "global", "layer": 2}]
)
def test_with_everything_kept_the_model_is_the_dense_one(options):
    batch = inputs(3)
    found = answer(model(**options), batch)
    if options["keep"] == 0.995:  # 127 of 128
        assert not torch.equal(found.actions, answer(NANO_MODEL(), batch).actions)
    else:
        assert torch.equal(found.actions, answer(NANO_MODEL(), batch).actions)


@pytest.mark.parametrize("options", [{"rater": "text"}, {"rater": "prefill", "quota": "global"}, {"use_temporal": True}])
def test_a_batch_is_its_samples(options):
    pruned, batch = model(keep=0.2, **options), inputs(5)
    together = answer(pruned, batch)
    for i in range(5):
        alone = answer(pruned, sample(batch, i))
        assert kept(together, i) == kept(alone, 0)
        assert torch.allclose(together.actions[i], alone.actions[0], atol=1e-5)


def test_while_the_memory_fills_nothing_leaves():
    pruned = model(keep=0.1, layer=2, use_temporal=True, warm_up=True, window=2)
    counts = [sum(answer(pruned, replace(inputs(1, s), queries=(Query(FIRST),))).kept_per_camera()[0]) for s in range(4)]
    assert counts == [128, 128, 12, 12]


def test_an_episode_sees_neither_another_nor_an_earlier_attempt():
    pruned = model(keep=0.1, layer=2, use_temporal=True)

    def query(seed: int, key: EpisodeKey) -> list[list[int]]:
        return kept(answer(pruned, replace(inputs(1, seed), queries=(Query(key),))), 0)

    first = [query(seed, FIRST) for seed in (0, 1, 2)]
    assert [query(seed, SECOND) for seed in (0, 1, 2)] == first
    assert query(0, FIRST) != first[0]  # without a reset
    pruned.reset(FIRST)
    assert [query(seed, FIRST) for seed in (0, 1, 2)] == first
    together = replace(inputs(2), queries=(Query(FIRST), Query(EpisodeKey("goal", 0, 0))))
    assert kept(answer(pruned, together), 0) != kept(answer(pruned, sample(inputs(2), 0)), 0)


# What cannot be


def test_errors_say_what_is_wrong():
    for layer in (0, 1):
        with pytest.raises(UsageError, match="alike before layer 2"):
            model(layer=layer)
    with pytest.raises(UsageError, match="window=0"):
        VLAPruner(window=0)
    with pytest.raises(ModelError, match="no slots"):  # decoding token by token has none
        model().decode(inputs(1))
    broken = model()
    broken.openvla.language_model.model.layers[2].self_attn.q_proj.weight.data[0, 0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        answer(broken, inputs(1))


def test_profiles_are_arguments():
    release = VLAPruner(**arguments(VLAPruner, "vla-pruner", {"profile": "release"}))
    assert release.sites[-1] == before_layer(4) and release.reading.layer == release.acting.layer == 3
    paper = {"keep": 0.5, "rater": "prefill", "use_temporal": True, "warm_up": True}
    assert arguments(VLAPruner, "vla-pruner", {"profile": "paper"}) == paper
