"""DivPrune: the release's order of picks, picks worked out by hand, and the pruner inside the model."""

from __future__ import annotations

import pytest
import torch

from tests.nanos import answer, inputs, kept, one_thread, sample
from vla_bench.errors import ModelError
from vla_bench.interface.layout import Layout
from vla_bench.interface.presets import NANO
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT, VISION
from vla_bench.interface.view import Patches, Query, View
from vla_bench.model.initialise import random_vla
from vla_bench.pruners.divprune import DivPrune, cosine_distances, farthest
from vla_bench.verify.baselines import divprune
from vla_bench.verify.compare import CheckStatus, judge
from vla_bench.verify.fixture import Fixture, read

FIXTURE = "fixtures/baselines_divprune.npz"


@pytest.fixture(scope="module")
def nano():
    with one_thread():
        yield random_vla(NANO, 0).eval()


def directions(*degrees: float) -> torch.Tensor:
    """Vectors of unequal lengths in a plane: (1, V, 2)."""
    angle = torch.tensor(degrees).deg2rad()
    return (torch.stack([angle.cos(), angle.sin()], dim=-1) * torch.linspace(1, 3, len(degrees)).unsqueeze(-1))[None]


def picks(tokens: torch.Tensor, k: int, *pools: list[bool]) -> list[list[int]]:
    inside = torch.tensor(pools or [[True] * tokens.shape[1]])[None]
    return farthest(cosine_distances(tokens), inside, k)[0].tolist()


def view(tokens: torch.Tensor, cameras: int = 1, valid: list[bool] | None = None) -> View:
    visual = tokens.shape[1]
    patches = Patches(tokens, torch.arange(visual)[None], None if valid is None else torch.tensor([valid]))
    return View(LLM_INPUT, patches, Layout(cameras, visual // cameras, 0, (1,), 0), (Query(),))


def stays(pruner: DivPrune, given: View) -> list[int]:
    return pruner.select(given).keep[0].nonzero().flatten().tolist()


# Values of the release


def test_the_release_is_reproduced_and_nothing_is_left_unread(shared):
    rows = judge("divprune", given := read(shared(FIXTURE)), divprune.computed(given))
    assert [(row.verdict, row.tensors) for row in rows] == [(CheckStatus.OK, 5)]


@pytest.mark.parametrize("case", range(5))
def test_two_picks_swapped_or_changed_miss(shared, case):
    given = read(shared(FIXTURE))
    name = f"case{case}/selected_in_order"
    changed = given[name][::-1].copy() if len(given[name]) > 1 else given[name] + 1
    broken = Fixture({**{name: given[name] for name in given.names()}, name: changed})
    assert [row.verdict for row in judge("divprune", broken, divprune.computed(broken))] == [CheckStatus.MISS]


@pytest.mark.parametrize("ratio, order", [(0.0, []), (0.2, [2]), (1.0, [2, 4, 0, 3, 1])])
def test_the_ends_of_the_scale_can_be_checked(ratio, order):
    tokens = directions(0, 10, 100, 190, 205)[0].numpy()
    made = Fixture({"case0/x": tokens, "case0/ratio": torch.tensor(ratio), "case0/selected_in_order": torch.tensor(order)})
    assert [row.verdict for row in judge("divprune", made, divprune.computed(made))] == [CheckStatus.OK]


# By hand


def test_first_the_loneliest_then_always_the_farthest():
    # Nearest others lie 10, 10, 90, 15, 15 degrees away: 100 is first.  From it 205 is farthest, then 0 (100 degrees from
    # the nearer of both), then 190 (15) before 10 (10).
    assert picks(directions(0, 10, 100, 190, 205), 5) == [[2, 4, 0, 3, 1]]
    assert picks(directions(0, 10, 100, 190, 205), 2) == [[2, 4]]
    assert picks(directions(0, 10, 100, 190, 205), 0) == [[]]
    assert picks(directions(33), 1) == [[0]]


def test_equal_tokens_leave_in_order():
    same = torch.ones(1, 4, 3)
    assert picks(same, 4) == [[0, 1, 2, 3]]


def test_pools_do_not_see_each_other():
    tokens = directions(0, 10, 100, 0, 50, 180)
    first, second = [True] * 3 + [False] * 3, [False] * 3 + [True] * 3
    # 0, 10 and 100: 100 is loneliest, then 0.  0, 50 and 180: 180 (130 from 50), then 0.
    assert picks(tokens, 2, first, second) == [[2, 0], [5, 3]]
    assert stays(DivPrune(keep=4), view(tokens, cameras=2)) == [0, 2, 3, 5]
    assert stays(DivPrune(keep=2), view(tokens, cameras=2)) == [2, 5]
    # Together 180 is loneliest (80 from 100), and then the first of the two at 0 is farthest.
    assert stays(DivPrune(keep=2, quota="global"), view(tokens, cameras=2)) == [0, 5]


def test_against_the_definition_token_by_token():
    tokens = torch.randn(1, 40, 6, generator=torch.Generator().manual_seed(0))
    wide = tokens[0].double()
    cosine = (wide @ wide.T) / wide.norm(dim=1).outer(wide.norm(dim=1))
    apart = 1 - cosine
    chosen = [max(range(40), key=lambda j: sorted(apart[:, j].tolist())[1])]
    while len(chosen) < 15:
        left = [j for j in range(40) if j not in chosen]
        chosen.append(max(left, key=lambda j: min(float(apart[i, j]) for i in chosen)))
    assert picks(tokens, 15) == [chosen]


def test_padding_is_never_picked_and_never_counts_as_a_neighbour():
    tokens, valid = directions(0, 10, 100, 101, 205), [True, True, True, False, True]
    # Without 101: 205 is loneliest (105 from 100), then 10 (165 from 205).
    assert stays(DivPrune(keep=2, quota="global"), view(tokens, valid=valid)) == [1, 4]
    assert stays(DivPrune(keep=4, quota="global"), view(tokens, valid=valid)) == [0, 1, 2, 4]
    crowd = directions(0, 10, 100, 101, 200, 215)  # 100 is loneliest once 101 is gone
    assert picks(crowd, 1) != [[2]] and picks(crowd, 1, [True, True, True, False, True, True]) == [[2]]


def test_all_staying_says_nothing_and_numbers_that_are_none_raise():
    tokens = directions(0, 10, 100)
    assert DivPrune(keep=1).select(view(tokens)) is None and DivPrune(keep=3).select(view(tokens)) is None
    with pytest.raises(ModelError, match="divprune at LLM input"):
        DivPrune(keep=2).select(view(tokens * torch.tensor([1, float("nan"), 1]).view(1, 3, 1)))


# In the model


@pytest.mark.parametrize("quota", ["per_image", "global"])
def test_a_batch_equals_its_samples(nano, quota):
    nano.attach(DivPrune(keep=20, quota=quota))
    batch = inputs(4)
    together = answer(nano, batch)
    assert [sum(cameras) for cameras in together.kept_per_camera()] == [20] * 4
    assert quota == "global" or together.kept_per_camera() == [(10, 10)] * 4
    for i in range(4):
        alone = answer(nano, sample(batch, i))
        assert kept(together, i) == kept(alone, 0) and kept(together, i)[0] == sorted(kept(together, i)[0])
        assert torch.allclose(together.actions[i], alone.actions[0], rtol=0, atol=1e-5)
    assert len({tuple(kept(together, i)[0]) for i in range(4)}) == 4


def test_keeping_all_changes_no_bit(nano):
    batch = inputs(3)
    nano.attach(None)
    dense = answer(nano, batch).actions
    nano.attach(DivPrune(keep=1))
    assert torch.equal(answer(nano, batch).actions, dense)


class AfterVision(DivPrune):
    """Thins unevenly at the vision output first, so that the samples of a batch are padded."""

    sites = (VISION, LLM_INPUT)

    def select(self, view: View) -> Selection:
        if view.site == LLM_INPUT:
            return super().select(view)
        return Selection(torch.stack([ids % (2 + q.step) == 0 for ids, q in zip(view.patches.ids, view.queries, strict=True)]))


def test_padding_of_other_samples_does_not_matter(nano):
    nano.attach(AfterVision(keep=24))
    batch = inputs(3)
    together = answer(nano, batch)
    for i in range(3):
        assert kept(together, i) == kept(answer(nano, sample(batch, i)), 0) and len(kept(together, i)[1]) == 24
