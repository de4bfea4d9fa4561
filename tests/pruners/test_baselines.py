"""The baselines of this toolkit: random, grids, single scores, and the wrappers around other pruners."""

from __future__ import annotations

import math

import pytest
import torch

from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.layout import Layout
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import Patches, Query, View
from vla_bench.pruners.grid import cell_of_patch, grid_indices, lattice
from vla_bench.pruners.registry import make_pruner
from vla_bench.pruners.wrappers import PlusRandom
from vla_bench.records import EpisodeKey

LAYOUT = Layout(cameras=2, patches=16, proprio=1, prompts=(3, 2), slots=4)


def view(hidden: torch.Tensor | None = None, episodes=("object", "goal"), step: int = 0) -> View:
    """Two samples of two 4 x 4 images."""
    draw = torch.Generator().manual_seed(1)
    hidden = torch.randn(2, 32, 8, generator=draw) if hidden is None else hidden
    queries = tuple(Query(EpisodeKey(suite, 0, 0), step) for suite in episodes)
    task = torch.randn(2, 9, 8, generator=draw)
    valid = torch.arange(9) < torch.tensor(LAYOUT.tails).unsqueeze(1)
    return View(LLM_INPUT, Patches(hidden, torch.arange(32).expand(2, -1)), LAYOUT, queries, task, valid)


def keep(text: str, seen: View) -> torch.Tensor:
    return make_pruner(text).eval().select(seen).keep


@pytest.mark.parametrize("k", [2, 6, 10, 30])
@pytest.mark.parametrize("name", ["random", "score-norm", "score-text", "score-lightvla", "grid"])
def test_the_count_is_exact_and_shared_by_the_cameras(name, k):
    found = keep(f"{name}(keep={k})", view())
    assert found.sum(dim=1).tolist() == [k, k] and found[:, :16].sum(dim=1).tolist() == [k // 2, k // 2]


def test_one_pool_takes_the_best_of_both_cameras():
    hidden = torch.zeros(2, 32, 8)
    hidden[0, 16:22] = hidden[1, :6] = 5
    found = keep("score-norm(keep=6, quota=global)", view(hidden))
    assert found[0].nonzero().flatten().tolist() == [*range(16, 22)] and found[1].nonzero().flatten().tolist() == [*range(6)]


def test_ties_go_to_the_smaller_index_and_the_lowest_can_be_asked_for():
    hidden = torch.ones(2, 32, 8)
    hidden[:, [3, 20]] = 0.5
    assert keep("score-norm(keep=4)", view(hidden))[0].nonzero().flatten().tolist() == [0, 1, 16, 17]
    assert keep("inverse(score-norm(keep=4))", view(hidden))[0].nonzero().flatten().tolist() == [0, 3, 16, 20]


def test_a_score_that_is_no_number_is_an_error():
    hidden = torch.ones(2, 32, 8)
    hidden[1, 4] = math.nan
    with pytest.raises(ModelError, match=r"score-norm at LLM input, step 0"):
        keep("score-norm", view(hidden))


def test_random_depends_on_seed_episode_and_step_alone():
    first = keep("random", view())
    assert torch.equal(first, keep("random", view(torch.zeros(2, 32, 8))))
    assert torch.equal(first[[1, 0]], keep("random", view(episodes=("goal", "object"))))
    assert not torch.equal(first, keep("random", view(step=8))) and not torch.equal(first, keep("random(seed=1)", view()))
    assert torch.equal(keep("random(resample=episode)", view()), keep("random(resample=episode)", view(step=8)))


def test_grids_are_even():
    assert [lattice(16, k) for k in (0, 1, 2, 16, 32, 64, 255)] == [(0, 0), (1, 1), (1, 2), (4, 4), (5, 6), (8, 8), (15, 16)]
    assert grid_indices(4, 4) == [5, 7, 13, 15] and grid_indices(4, 0) == [] and grid_indices(4, 16) == [*range(16)]
    for k in range(257):
        assert len(set(grid_indices(16, k))) == k


def test_cells_do_not_overlap_and_pooling_takes_their_means():
    assert cell_of_patch(4, 4).view(4, 4).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    assert cell_of_patch(5, 4).view(5, 5)[0].tolist() == [0, 0, 1, 1, 1]
    seen = view()
    choice = make_pruner("pool(keep=8)").select(seen)
    assert not choice.keep.any() and choice.merged.ids[0].tolist() == [0, 2, 8, 10, 16, 18, 24, 26]
    corner = seen.patches.hidden[1, [16 + 10, 16 + 11, 16 + 14, 16 + 15]].mean(dim=0)
    assert torch.allclose(choice.merged.hidden[1, 7], corner, atol=1e-6)


def test_lightvlas_score_ranks_what_is_voted_for_first():
    seen = view()
    winners = keep("lightvla", seen)
    best = keep("score-lightvla(keep=2, quota=global)", seen)
    assert (best & winners).sum() >= 3  # of two times two


def test_wrappers_add_and_drop_shares_of_what_was_kept():
    seen = view()
    inside = keep("lightvla", seen)
    counts = inside.sum(dim=1)
    more, fewer = keep("plus-random(lightvla)", seen), keep("drop-random(lightvla, share=0.5)", seen)
    assert (more & inside).sum(dim=1).equal(counts) and more.sum(dim=1).equal((2 * counts).clamp(max=32))
    assert (fewer & ~inside).sum() == 0 and fewer.sum(dim=1).equal(counts - (0.5 * counts).round().long())
    assert not torch.equal(more, keep("plus-random(lightvla, seed=1)", seen))


def test_merged_tokens_are_neither_added_nor_dropped():
    for inner in ("pool(keep=0.5)", "sparsevlm", "inverse(fastv), share=-1", "drop-random(pool)"):
        with pytest.raises(UsageError, match="merged tokens|must not be negative"):
            make_pruner(f"plus-random({inner})")
    assert make_pruner("plus-random(sparsevlm(variant=v2))")  # which merges nothing
    pool = make_pruner("pool(keep=0.5)")
    pool.merges = False
    with pytest.raises(ModelError, match="without declaring it"):
        PlusRandom(pool).eval().select(view())


def test_a_wrapper_does_not_train():
    pruner = make_pruner("plus-random(lightvla)").train()
    with pytest.raises(ModelError, match="train with the pruner inside"):
        pruner.select(view())
