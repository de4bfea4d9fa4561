"""SparseVLM: the releases' cuts, query tokens, clusters and counts by hand, and the pruner inside the model."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.nanos import answer, inputs, kept, one_thread, sample
from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.layout import Layout
from vla_bench.interface.presets import NANO, SEVEN_B
from vla_bench.interface.view import AttentionRows, Patches, Query, View
from vla_bench.model.initialise import random_vla
from vla_bench.model.sequence import thin
from vla_bench.pruners.query_tokens import head_mean, paid_to_images, positional_term, query_token_scores, query_tokens, rank
from vla_bench.pruners.recycling import cluster, merge, recycle
from vla_bench.pruners.sparsevlm import SparseVLM, best_each
from vla_bench.pruners.sparsevlm_releases import RELEASES, fitted, sizes
from vla_bench.pruners.spec import arguments
from vla_bench.records import EpisodeKey
from vla_bench.verify.baselines import sparsevlm
from vla_bench.verify.compare import CheckStatus, judge
from vla_bench.verify.fixture import Fixture, read

FILES = {"v15": 13, "v2": 10, "rank": 5}
FIXTURE = "fixtures/baselines_sparsevlm_{}.npz"


@pytest.fixture(scope="module")
def nano():
    with one_thread():
        yield random_vla(NANO, 0).eval()


# What the releases found


@pytest.mark.parametrize("variant", FILES)
def test_the_releases_are_reproduced_and_nothing_is_left_unread(shared, variant):
    rows = judge(variant, given := read(shared(FIXTURE.format(variant))), sparsevlm.computed(given))
    assert [row for row in rows if row.verdict is not CheckStatus.OK] == [] and len(rows) == FILES[variant]


@pytest.mark.parametrize(
    "variant, tensor",
    [
        ("v15", "rater_scores"),
        ("v15", "rater_index_rel_text"),
        ("v15", "position_ids_layer7"),
        ("v15", "prune_L2/score"),
        ("v15", "prune_L6/merge_in"),
        ("v15", "prune_L15/merge_out"),
        ("v15", "prune_L2/cluster_num"),
        ("v15", "last_hidden"),
        ("v2", "tokens_per_layer"),
        ("v2", "prune_L2/attn_headmean"),
        ("v2", "prune_L6/n_vis_before"),
        ("v2", "prune_L15/keep_mask"),
        ("rank", "rank/case1/rank"),
        ("rank", "rank/case2/score"),
        ("rank", "rank/case3/keep_mask"),
        ("rank", "rank/case0/prune_flag"),
        ("rank", "cluster/case3/out"),
    ],
)
def test_a_changed_value_misses(shared, variant, tensor):
    given = read(shared(FIXTURE.format(variant)))
    changed = given[tensor].copy()
    last = changed.reshape(-1)[-1:]  # a view
    last[:] = ~last if changed.dtype == bool else last + (0.01 * np.abs(changed).max() if changed.dtype.kind == "f" else 1)
    broken = Fixture({**{name: given[name] for name in given.names()}, tensor: changed})
    missed = [row for row in judge(variant, broken, sparsevlm.computed(broken)) if row.verdict is CheckStatus.MISS]
    assert len(missed) == 1 and tensor in missed[0].reason


# Raters


def test_words_above_the_mean_rate():
    """Softmax of the logs of 1, 2, 5 is 1/8, 2/8, 5/8; a patch of zeros shares evenly; the fourth word is padding."""
    text = torch.tensor([1.0, 2.0, 5.0, 99.0]).log().view(1, 4, 1)
    real = torch.tensor([[True, True, True, False]])
    found = query_token_scores(torch.tensor([[[1.0], [0.0]]]), text, None, real)
    assert torch.allclose(found, torch.tensor([[11 / 48, 7 / 24, 23 / 48, 0]]))
    assert query_tokens(found, real).tolist() == [[False, False, True, False]]
    alone = query_token_scores(torch.tensor([[[1.0], [0.0]]]), text, torch.tensor([[True, False]]), real)
    assert torch.allclose(alone, torch.tensor([[1 / 8, 2 / 8, 5 / 8, 0]]))


def test_equal_words_all_rate_and_the_port_takes_those_at_the_mean():
    scores, real = torch.tensor([[0.25, 0.25, 0.25, 0.25, 0.0]]), torch.tensor([[True] * 4 + [False]])
    assert query_tokens(scores, real).tolist() == real.tolist()
    scores = torch.tensor([[0.125, 0.25, 0.375, 0.25, 0.0]])
    assert query_tokens(scores, real).tolist() == [[False, False, True, False, False]]
    assert query_tokens(scores, real, inclusive=True).tolist() == [[False, True, True, True, False]]


def test_attention_of_the_raters_alone_counts():
    weights = torch.tensor([[[[0.5, 0.1, 0.4], [0.2, 0.8, 0.0]], [[0.1, 0.3, 0.6], [0.0, 1.0, 0.0]]]])  # 2 heads, 2 rows
    rows = AttentionRows(weights, None, range(1, 3))
    first, both = torch.tensor([[True, False]]), torch.tensor([[True, True]])
    assert torch.allclose(paid_to_images(head_mean(rows, first), first, rows.image_columns), torch.tensor([[0.2, 0.5]]))
    assert torch.allclose(paid_to_images(head_mean(rows, both), both, rows.image_columns), torch.tensor([[0.55, 0.25]]))


def test_the_second_version_divides_by_the_positions_and_takes_the_strongest_heads():
    term = positional_term(torch.tensor([[5, 9]]), torch.tensor([[5, 8]]), width=2, theta=10000.0)
    expected = [[2, 2 * math.cos(3)], [2 * math.cos(4), 2 * math.cos(1)]]
    assert torch.allclose(term, torch.tensor([expected]) / math.sqrt(2))
    weights = torch.tensor([[[[0.6, 0.4]], [[0.1, 0.9]], [[0.3, 0.7]]]])  # 3 heads, 1 row
    rows, chosen = AttentionRows(weights, None, range(0, 1)), torch.tensor([[True]])
    halves = torch.tensor([[[2.0, 2.0]]])
    assert torch.allclose(head_mean(rows, chosen, halves, heads=1), torch.tensor([[[0.3, 0.2]]]))
    assert torch.allclose(head_mean(rows, chosen, halves, heads=2), torch.tensor([[[0.225, 0.275]]]))
    # Where RoPE alone is negative, the least attention is the most.
    assert torch.allclose(head_mean(rows, chosen, -halves, heads=1), torch.tensor([[[-0.05, -0.45]]]))


# How many stay


def pass_through(pruner: SparseVLM, visual: int) -> list[int]:
    """Image tokens behind each cut, on random attention of one sample with 3 words."""
    generator = torch.Generator().manual_seed(0)
    patches = Patches(torch.randn(1, visual, 8, generator=generator), torch.arange(visual)[None])
    pruner.query_tokens = torch.tensor([[True, False, True]])
    found = []
    for site, request in zip(pruner.sites[1:], pruner.rows, strict=True):
        columns = patches.ids.shape[1] + 4
        weights = torch.rand(1, 2, 3, columns, generator=generator)
        at = torch.arange(columns)[None, -3:], torch.arange(columns)[None]
        rows = {request: AttentionRows(weights, None, range(1, columns - 3), at)}
        view = View(site, patches, Layout(1, visual, 0, (3,), 0), (Query(step=3),), rows=rows)
        patches = thin(patches, pruner.select(view))
        assert patches.valid is None and len(set(patches.ids[0].tolist())) == patches.ids.shape[1]
        found.append(patches.ids.shape[1])
    return found


@pytest.mark.parametrize(
    "options, visual, expected",
    [
        ({"counts": (66, 30, 17)}, 256, [72, 32, 18]),
        ({"counts": (300, 200, 110)}, 512, [307, 204, 113]),
        ({"variant": "v2", "counts": (300, 200, 118)}, 512, [300, 200, 118]),
        ({"budget": 64}, 512, [73, 29, 16]),  # 59, 27 and 15 stay
        ({"budget": 64}, 576, [66 + 16, 30 + 2, 17 + 1]),
        ({"variant": "v2", "budget": 64}, 128, [15, 8, 4]),
        ({"variant": "rank", "rank_scale": 2.0, "rank_bias": 1.5}, 128, [5 + 4, 5 + 1, 5 + 1, 5 + 1]),  # at first, rank 2
        ({"variant": "1stage"}, 128, [32]),
        ({"variant": "1stage", "keep": 5.0, "layers": (0, 4)}, 128, [5, 5]),
    ],
)
def test_counts_behind_each_cut(options, visual, expected):
    assert pass_through(SparseVLM(**options), visual) == expected


def test_a_cut_that_lets_all_stay():
    """As released, one token leaves nevertheless; it comes back as a cluster of its own, but not in version 2."""
    assert pass_through(SparseVLM(counts=(40, 30, 30)), 30) == [30, 30, 30]
    assert pass_through(SparseVLM(counts=(40, 30, 30), always_drop=True), 30) == [30, 30, 30]
    assert pass_through(SparseVLM("v2", counts=(40, 30, 28), always_drop=True), 30) == [29, 28, 27]
    pruner, seen = SparseVLM(counts=(40,), layers=(1,), always_drop=True), []
    pruner.select = lambda view: seen.append(SparseVLM.select(pruner, view)) or seen[-1]
    pass_through(pruner, 30)
    assert seen[0].keep.sum() == 29 and seen[0].merged.ids.tolist() == (~seen[0].keep[0]).nonzero().flatten()[None].tolist()


def test_at_full_rank_all_stay():
    weights = torch.tensor([[[[0.0, 0.9, 0.1], [0.0, 0.2, 0.8]]]])
    rows, everything = AttentionRows(weights, None, range(1, 3)), torch.ones(1, 2, dtype=torch.bool)
    assert rank(head_mean(rows, everything), everything, rows.image_columns, everything) == [2]
    pruner = SparseVLM("rank", layers=(0,), rank_scale=0.5, always_drop=True)
    pruner.query_tokens = everything
    patches = Patches(torch.zeros(1, 2, 4), torch.arange(2)[None])
    view = View(pruner.sites[1], patches, Layout(1, 2, 0, (2,), 0), (Query(),), rows={pruner.rows[0]: rows})
    assert pruner.select(view) is None
    pruner.query_tokens = torch.tensor([[True, False]])  # one query token has rank 1, of which half a token stays
    assert pruner.select(view).keep.sum() == 0
    with pytest.raises(ModelError, match="sparsevlm at before layer 1"):
        pruner.select(replace(view, rows={pruner.rows[0]: replace(rows, weights=weights * float("nan"))}))


def test_best_of_each_pool():
    scores = torch.tensor([[0.1, 0.5, 0.5, 0.5, 0.9, 0.2], [0.6, 0.5, 0.4, 0.3, 0.2, 0.1]])
    one = torch.tensor([[[True, True, True, True, False, True]]] * 2)
    assert best_each(scores, [2, 3], one).int().tolist() == [[0, 1, 1, 0, 0, 0], [1, 1, 1, 0, 0, 0]]
    two = torch.tensor([[[True, True, True, False, False, False], [False, False, False, True, True, True]]] * 2)
    assert best_each(scores, [2, 3], two).int().tolist() == [[0, 1, 0, 0, 1, 0], [1, 1, 0, 1, 0, 0]]


@pytest.mark.parametrize(
    "layers, depth, expected",
    [
        ((2, 6, 15), 32, [2, 6, 15]),
        ((2, 6, 15), 17, [2, 6, 15]),
        ((2, 6, 15), 16, [1, 3, 7]),
        ((2, 6, 15), 6, [0, 1, 2]),
        ((2, 6, 15, 19), 6, [0, 1, 2, 3]),
        ((2, 6, 15), 4, [0, 1, 2]),
    ],
)
def test_cuts_fit_the_depth(layers, depth, expected):
    assert fitted(layers, depth) == expected


def test_too_shallow_a_decoder_and_wrong_options_are_refused():
    with pytest.raises(UsageError, match="3 cuts do not fit between 3 layers"):
        fitted((2, 6, 15), 3)
    for options in (
        {"budget": 100},
        {"counts": (3, 2)},
        {"layers": (6, 2, 15)},
        {"layers": (2, 6)},
        {"variant": "rank", "counts": (1, 2, 3, 4)},
        {"keep": 0.5},
    ):
        with pytest.raises(UsageError):
            SparseVLM(**options)


def test_profiles_and_the_full_size():
    for profile in SparseVLM.profiles:
        pruner = SparseVLM(**arguments(SparseVLM, "sparsevlm", {"profile": profile}))
        pruner.attach(SEVEN_B)
        pruner.attach(SEVEN_B)
        assert pruner.renumber is (profile != "release-v2")
        assert pruner.always_drop and pruner.adaptive is (profile == "paper")
        assert [site.layer for site in pruner.sites[1:]] == [3, 7, 16, 20][: len(pruner.rows)]
    assert [len(release.cuts) for release in RELEASES.values()] == [3, 3, 4, 1]


# Recycling


def test_two_clusters_on_a_line():
    """0, .1 and .3 lie together, 5 and 5.2 as well.  Densest are 0 and .1, and noise prefers .1: of the others, 5.2 lies
    farthest from anything denser, as 5 is not."""
    line = torch.tensor([[[0.0], [0.1], [0.3], [5.0], [5.2]]])
    labels, density = cluster(line, 2, torch.tensor([0, 1e-6, 0, 0, 0]))
    assert labels.tolist() == [[0, 0, 0, 1, 1]]
    near = torch.tensor([0.1, 0.1, 0.2, 0.2, 0.2])  # to the nearest other; half of its square is the mean with the own 0
    assert torch.allclose(density[0], (-near.square() / 2).exp())
    assert torch.allclose(merge(line, labels, 2), torch.tensor([[[0.4 / 3], [5.1]]]), atol=1e-5)


def test_a_token_far_from_all_is_no_centre_and_equal_tokens_are_two():
    """20 lies farthest from anything denser, but its density is 0; of three equal tokens two are centres of their own."""
    line = torch.tensor([[[0.0], [0.1], [0.3], [5.0], [5.2], [20.0]]])
    assert cluster(line, 2, torch.tensor([0, 1e-6, 0, 0, 0, 0]))[0].tolist() == [[0, 0, 0, 1, 1, 1]]
    assert cluster(torch.ones(1, 3, 4), 2)[0].tolist() == [[0, 1, 0]]


@pytest.mark.parametrize(
    "dropped, expected", [(0, (0, 0)), (1, (1, 1)), (17, (6, 1)), (30, (10, 2)), (38, (12, 2)), (212, (64, 7))]
)
def test_how_many_are_recycled_into_how_many(dropped, expected):
    assert sizes(dropped) == expected


def test_merged_tokens_stand_where_their_best_member_stood():
    patches = Patches(torch.arange(12.0).view(2, 6, 1), torch.tensor([[0, 2, 4, 6, 8, 10], [1, 2, 3, 4, 5, 6]]))
    scores = torch.tensor([[0.9, 0.1, 0.5, 0.8, 0.6, 0.3], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]])
    keep = torch.tensor([[True, False, False, True, False, False], [False, True, True, True, True, True]])
    made = recycle(patches, scores, keep, [4, 1], noise=1e-6, seed=0).patches
    assert made.ids.tolist() == [[8], [1]] and made.valid.tolist() == [[True], [True]]  # tokens 4 and 2; token 0 alone
    assert torch.allclose(made.hidden[:, 0, 0], torch.tensor([3.0, 6.0]), atol=1e-4)
    padded = replace(patches, valid=torch.tensor([[True] * 4 + [False] + [True], [True] * 6]))
    assert recycle(padded, scores, keep, [3, 1], 0.0, 0).patches.ids.tolist() == [[4], [1]]
    assert recycle(patches, scores, torch.ones_like(keep), [0, 0], 0.0, 0) is None
    some = recycle(patches, scores, torch.stack([keep[0], torch.ones(6, dtype=torch.bool)]), [4, 0], 0.0, 0).patches
    assert some.valid.tolist() == [[True], [False]]


def test_states_too_far_apart_are_told_once(caplog):
    pruner = SparseVLM(counts=(20, 10, 5))
    pass_through(pruner, 60)
    assert not caplog.records
    pruner, far = SparseVLM(counts=(20, 10, 5)), SparseVLM.select

    def select(view: View):
        return far(pruner, replace(view, patches=replace(view.patches, hidden=view.patches.hidden * 1e4)))

    pruner.select = select
    pass_through(pruner, 60)
    assert len(caplog.records) == 1 and "densities are 0" in caplog.text


# In the model

VARIANTS = {
    "v1.5": {},
    "v1.5-small": {"budget": 64, "positions": "renumber"},
    "v2": {"variant": "v2", "budget": 64},
    "rank": {"variant": "rank", "rank_scale": 4.0},
    "1stage": {"variant": "1stage"},
    "per-image": {"quota": "per_image", "budget": 96, "always_drop": True},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS)
def test_a_batch_equals_its_samples(nano, options):
    pruner = SparseVLM(**options)
    nano.attach(pruner)
    batch = inputs(4)
    together = answer(nano, batch)
    for i in range(4):
        alone = answer(nano, sample(batch, i))
        assert kept(together, i) == kept(alone, 0)
        assert torch.allclose(together.actions[i], alone.actions[0], rtol=0, atol=1e-5)
    counts = [[len(ids) for ids in kept(together, i)] for i in range(4)]
    if pruner.adaptive:
        assert len({tuple(count) for count in counts}) > 1
    else:
        assert len({tuple(count) for count in counts}) == 1 and counts[0][-1] < 128
    again = answer(nano, batch)
    assert torch.equal(again.actions, together.actions)


def test_positions_stay_or_are_counted_anew(nano):
    batch = inputs(1)
    found = {}
    for positions in ("keep", "renumber"):
        nano.attach(SparseVLM(positions=positions))
        output = answer(nano, batch)
        found[positions] = output.tokens.positions[0].tolist()
        assert [kept.patches.ids.shape[1] for kept in output.trace.sites] == [67 + 2, 44 + 1, 24 + 1]
    length = len(found["keep"])
    assert found["renumber"] == list(range(length)) and len(set(found["keep"])) == length
    behind = len(found["keep"]) - 1 - 25
    assert found["keep"][-behind:] == list(range(129, 129 + behind)) and max(found["keep"][1:26]) < 129


def test_keeping_all_changes_no_bit_and_nothing_is_remembered(nano):
    batch = inputs(3)
    nano.attach(None)
    dense = answer(nano, batch).actions
    for options in ({"counts": (128, 128, 128)}, {"variant": "1stage", "keep": 1.0}, {"variant": "rank", "rank_scale": 99.0}):
        nano.attach(SparseVLM(**options))
        assert torch.equal(answer(nano, batch).actions, dense)
    nano.attach(SparseVLM())
    first = answer(nano, batch).actions
    answer(nano, inputs(2, seed=1))
    nano.reset(EpisodeKey("spatial", 0, 1))
    assert torch.equal(answer(nano, batch).actions, first) and not torch.equal(first, dense)


def test_one_word_decides_nothing_and_breaks_nothing(nano):
    nano.attach(SparseVLM("v2"))
    one = replace(inputs(1), prompts=((5,),))
    assert answer(nano, one).actions.isfinite().all() and nano.pruner.query_tokens.tolist() == [[True]]


def test_decoding_token_by_token_works_on_merged_tokens(nano):
    nano.attach(SparseVLM(budget=64))
    ids, output = nano.decode(inputs(1))
    assert ids.shape == (1, 7) and output.kept_per_camera()[0] == nano.decode(inputs(1))[1].kept_per_camera()[0]
