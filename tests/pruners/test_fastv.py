"""FastV: the release's choices, shares of cameras and ties by hand, and the pruner inside the model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.nanos import answer, inputs, kept, one_thread, sample
from vla_bench.errors import ModelError, VlaBenchError
from vla_bench.interface.layout import Layout, Span
from vla_bench.interface.needs import Rows
from vla_bench.interface.presets import NANO
from vla_bench.interface.sites import before_layer
from vla_bench.interface.view import AttentionRows, Patches, Query, View
from vla_bench.model.initialise import random_vla
from vla_bench.pruners.fastv import FastV
from vla_bench.records import EpisodeKey
from vla_bench.verify.baselines import fastv
from vla_bench.verify.compare import CheckStatus, judge
from vla_bench.verify.fixture import Fixture, read

FIXTURE = "fixtures/baselines_fastv.npz"


@pytest.fixture(scope="module")
def nano():
    with one_thread():
        yield random_vla(NANO, 0).eval()


def view(attention: list[float], cameras: int = 1, valid: list[bool] | None = None) -> View:
    """Image tokens of one sample, 1 BOS before and 1 word behind them, that receive this attention from that word."""
    visual = len(attention)
    layout = Layout(cameras, visual // cameras, 0, (1,), 0)
    rows = AttentionRows(torch.tensor([0.0, *attention, 0.0]).view(1, 1, 1, -1), None, range(1, 1 + visual))
    mask = None if valid is None else torch.tensor([valid])
    patches = Patches(torch.zeros(1, visual, 4), torch.arange(visual)[None], mask)
    return View(before_layer(2), patches, layout, (Query(step=7),), rows={Rows(1, Span.PROMPT): rows})


def stays(pruner: FastV, given: View) -> list[int]:
    return pruner.select(given).keep[0].nonzero().flatten().tolist()


# Values of the release


def test_the_release_is_reproduced_and_nothing_is_left_unread(shared):
    rows = judge("fastv", given := read(shared(FIXTURE)), fastv.computed(given))
    assert [row for row in rows if row.verdict is not CheckStatus.OK] == [] and len(rows) == 9


@pytest.mark.parametrize(
    "tensor",
    [
        "dense/last_hidden",
        "dense/attn_layer3",
        "hf/case0/num_keep",
        "hf/case1/keep_indices",
        "hf/case2/tokens_per_layer",
        "hf/case3/last_hidden",
        "inplace/case0/score",
        "inplace/case1/top_index_unsorted",
        "inplace/case4/keep_indices",
    ],
)
def test_a_changed_value_misses(shared, tensor):
    given = read(shared(FIXTURE))
    changed = given[tensor].copy()
    changed.reshape(-1)[-1] += np.asarray(0.01 * np.abs(changed).max() if changed.dtype.kind == "f" else 1).astype(changed.dtype)
    broken = Fixture({**{name: given[name] for name in given.names()}, tensor: changed})
    missed = [row for row in judge("fastv", broken, fastv.computed(broken)) if row.verdict is CheckStatus.MISS]
    assert len(missed) == 1 and tensor in missed[0].reason


@pytest.mark.parametrize("keep", [0, 1, 16])
def test_the_ends_of_the_scale_can_be_checked(shared, keep):
    """Other files may keep nothing, one token or all of them."""
    given = {name: array for name, array in np.load(shared(FIXTURE)).items() if not name.startswith("inplace/")}
    attention = np.random.default_rng(0).random((1, 2, 20, 20)).astype(np.float32)
    score = attention[0].mean(axis=0)[-1, 1:17]
    order = np.argsort(-score)[:keep] + 1
    given |= {"inplace/case0/attn": attention, "inplace/case0/sys_img_rank": np.array([1, 16, keep])}
    given |= {"inplace/case0/score": score, "inplace/case0/top_index_unsorted": order}
    given |= {"inplace/case0/keep_indices": np.array([0, *sorted(order), 17, 18, 19])}
    made = Fixture(given)
    assert all(row.verdict is CheckStatus.OK for row in judge("fastv", made, fastv.computed(made)))


# By hand


def test_cameras_share_evenly_or_compete():
    attention = [0.9, 0.8, 0.7, 0.6, 0.1, 0.4, 0.2, 0.3]
    assert stays(FastV(keep=0.5), view(attention, cameras=2)) == [0, 1, 5, 7]
    assert stays(FastV(keep=0.5, quota="global"), view(attention, cameras=2)) == [0, 1, 2, 3]
    assert stays(FastV(keep=4), view(attention, cameras=2)) == [0, 1, 5, 7]


def test_ties_go_to_the_smaller_index_and_halves_to_the_even_number():
    assert stays(FastV(keep=2, quota="global"), view([0.1, 0.3, 0.3, 0.3])) == [1, 2]
    assert len(stays(FastV(keep=0.5, quota="global"), view([0.2] * 5))) == 2  # 2.5


def test_padding_is_never_kept_though_it_scores_best():
    assert stays(FastV(keep=2, quota="global"), view([0.1, 0.9, 0.3, 0.2], valid=[True, False, True, True])) == [2, 3]


def test_all_staying_says_nothing_and_numbers_that_are_none_raise():
    assert FastV(keep=1).select(view([0.1, 0.2])) is None
    with pytest.raises(ModelError, match="fastv at before layer 2, step 7"):
        FastV(keep=0.5).select(view([0.1, float("nan")]))


@pytest.mark.parametrize("layer", [0, NANO.llm.layers])
def test_a_layer_that_is_not_there_is_refused(nano, layer):
    with pytest.raises(VlaBenchError, match="layer"):
        nano.attach(FastV(layer=layer))
    nano.attach(None)


# In the model


@pytest.mark.parametrize("rater", ["text", "prefill", "action", "last"])
def test_a_batch_equals_its_samples(nano, rater):
    nano.attach(FastV(layer=3, keep=0.25, rater=rater))
    batch = inputs(4)
    together = answer(nano, batch)
    assert together.kept_per_camera() == [(16, 16)] * 4
    for i in range(4):
        alone = answer(nano, sample(batch, i))
        assert kept(together, i) == kept(alone, 0) and kept(together, i)[0] == sorted(kept(together, i)[0])
        assert torch.allclose(together.actions[i], alone.actions[0], rtol=0, atol=1e-5)
    chosen = {tuple(kept(together, i)[0]) for i in range(4)}
    assert len(chosen) == 4


def test_keeping_all_changes_no_bit_and_nothing_is_remembered(nano):
    batch = inputs(3)
    nano.attach(None)
    dense = answer(nano, batch).actions
    nano.attach(FastV(keep=1))
    assert torch.equal(answer(nano, batch).actions, dense)
    nano.attach(FastV())
    first = answer(nano, batch).actions
    answer(nano, inputs(3, seed=1))
    nano.reset(EpisodeKey("spatial", 0, 1))
    assert torch.equal(answer(nano, batch).actions, first) and not torch.equal(first, dense)


def test_raters_see_different_things(nano):
    found = []
    for rater in ("text", "prefill", "action", "last"):
        nano.attach(FastV(layer=2, keep=0.25, rater=rater))
        found.append(tuple(kept(answer(nano, inputs(1)), 0)[0]))
    assert len(set(found)) == 4
