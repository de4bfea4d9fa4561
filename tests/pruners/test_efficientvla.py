"""EfficientVLA's tokens: the choice worked out by hand, both directions of attention, and the nano model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.nanos import answer, inputs, kept, one_thread, sample
from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.layout import Layout, Span
from vla_bench.interface.needs import Rows
from vla_bench.interface.presets import NANO
from vla_bench.interface.sites import before_layer
from vla_bench.interface.view import AttentionRows, Patches, Query, View
from vla_bench.model.initialise import random_vla
from vla_bench.pruners.efficientvla import EfficientVLATokens, choose

RELEVANCE = torch.tensor([[9.0, 8, 7, 6, 5, 4, 3, 2]])
# Token 0 points east, 1 north; of 3 to 7, the largest cosine to either is 1, -0.71, 0.71, 0, 0.995.
HIDDEN = torch.tensor([[[1.0, 0], [0, 1], [0, 2], [5, 0], [-1, -1], [1, 1], [-1, 0], [1, 0.1]]])


@pytest.fixture(autouse=True)
def calm():
    with one_thread():
        yield


@pytest.mark.parametrize(
    "k, key, alpha, expected",
    [
        (5, 2, 0.5, [0, 1, 2, 4, 6]),  # keys 0 1, floor(1.5) = 1 by relevance, two that are unlike
        (4, 2, 0.0, [0, 1, 4, 6]),
        (6, 2, 0.5, [0, 1, 2, 3, 4, 6]),
        (5, 2, 1.0, [0, 1, 2, 3, 4]),
        (3, 1, 0.0, [0, 4, 6]),  # unlike token 0 alone: cosines -1 of token 6, -0.71 of 4, then 0 of 1 and 2
        (2, 1, 0.0, [0, 6]),
        (4, 1, 0.0, [0, 1, 4, 6]),  # a tie: the smaller index
        (2, 4, 0.5, [0, 1]),  # fewer than there should be keys
        (1, 4, 0.5, [0]),
        (0, 4, 0.5, []),
        (8, 4, 0.5, list(range(8))),
        (99, 4, 0.5, list(range(8))),
    ],
)
def test_the_choice_worked_out_by_hand(k, key, alpha, expected):
    keep = choose(RELEVANCE, HIDDEN, k, key, alpha)
    assert keep[0].nonzero().flatten().tolist() == expected
    shuffled = torch.tensor([3, 1, 7, 0, 2, 6, 5, 4])
    if k != 4 or key != 1:  # without ties the order of the tokens does not matter
        assert torch.equal(choose(RELEVANCE[:, shuffled], HIDDEN[:, shuffled], k, key, alpha), keep[:, shuffled])


def view(rows: Rows, found: AttentionRows, hidden: torch.Tensor, layout: Layout) -> View:
    batch, visual = hidden.shape[:2]
    ids = torch.arange(visual).expand(batch, -1)
    return View(before_layer(2), Patches(hidden, ids), layout, (Query(),) * batch, rows={rows: found})


def test_the_two_directions_and_prompts_of_unequal_length():
    """BOS, two image tokens, then one or two prompt tokens; one head."""
    layout = Layout(cameras=1, patches=2, proprio=0, prompts=(1, 2), slots=0)
    hidden = torch.eye(2).expand(2, -1, -1)
    pruner = EfficientVLATokens(keep=1.5, key=1)
    rows = pruner.rows[0]
    assert rows == Rows(1, Span.PROMPT)
    paid = torch.tensor([[[[0.1, 0.6, 0.3, 0, 0], [0, 0.0, 1.0, 0, 0]]], [[[0, 0.1, 0.2, 0, 0], [0, 0.5, 0.2, 0, 0]]]])
    found = AttentionRows(paid, torch.tensor([[True, False], [True, True]]), range(1, 3))
    # Token 0 gets 0.6 of 0.9 in the first sample, whose second row is padding; 0.6 against 0.4 in the second.
    assert pruner.relevance(view(rows, found, hidden, layout)).argmax(dim=1).tolist() == [0, 0]

    pruner = EfficientVLATokens(keep=1.5, key=1, direction="v2t")
    rows = pruner.rows[0]
    assert rows == Rows(1, Span.IMAGES)
    paid = torch.tensor([[[[0.5, 0.2, 0, 0.3, 0], [0.1, 0.5, 0, 0.4, 0]]], [[[0.5, 0, 0, 0.2, 0.3], [0.1, 0.5, 0, 0.3, 0.1]]]])
    relevance = pruner.relevance(view(rows, AttentionRows(paid, None, range(1, 3)), hidden, layout))
    torch.testing.assert_close(relevance, torch.tensor([[0.3, 0.4], [0.5, 0.4]]))


@pytest.mark.parametrize("direction", ["t2v", "v2t"])
@pytest.mark.parametrize(
    "keep, quota, total",
    [
        (0.4375, "per_image", 56),
        (0.25, "global", 32),
        (7, "global", 7),
        (2, "per_image", 2),
        (20, "per_image", 20),
    ],
)
def test_as_many_as_asked_for(direction, keep, quota, total):
    output = answer(random_vla(NANO, 0, EfficientVLATokens(keep=keep, quota=quota, direction=direction)).eval(), inputs(2))
    assert [sum(counts) for counts in output.kept_per_camera()] == [total] * 2
    if quota == "per_image":
        assert output.kept_per_camera() == [(total // 2, total // 2)] * 2


def test_keeping_everything_changes_no_bit():
    dense = answer(random_vla(NANO, 0).eval(), inputs(3)).actions
    for pruner in (EfficientVLATokens(keep=1), EfficientVLATokens(keep=128, quota="global", direction="v2t")):
        assert torch.equal(answer(random_vla(NANO, 0, pruner).eval(), inputs(3)).actions, dense)


@pytest.mark.parametrize("direction", ["t2v", "v2t"])
def test_a_batch_answers_as_each_of_its_samples(direction):
    model = random_vla(NANO, 0, EfficientVLATokens(direction=direction)).eval()
    batch = inputs(4)
    together = answer(model, batch)
    for i in range(4):
        alone = answer(model, sample(batch, i))
        assert kept(alone, 0) == kept(together, i)
        torch.testing.assert_close(alone.actions[0], together.actions[i], rtol=0, atol=1e-5)
    assert kept(together, 0) != kept(together, 1)


def test_cameras_do_not_compete():
    """With a quota each, the first camera's choice among its tokens is its own key set's, whatever the second one shows."""
    generator = torch.Generator().manual_seed(0)
    layout = Layout(cameras=2, patches=8, proprio=0, prompts=(1,), slots=0)
    weights = torch.rand(1, 1, 1, 18, generator=generator)
    weights[..., 1:9] *= 1e-3  # the prompt hardly attends to the first camera
    pruner = EfficientVLATokens(keep=0.5, key=2)
    hidden = torch.randn(1, 16, 4, generator=generator)
    found = AttentionRows(weights, None, range(1, 17))
    keep = pruner.select(view(pruner.rows[0], found, hidden, layout)).keep
    one = choose(found.images()[:, :8], hidden[:, :8], 4, 2, 0.5)
    assert torch.equal(keep[:, :8], one) and keep.sum() == 8
    pruner.quota = "global"
    assert pruner.select(view(pruner.rows[0], found, hidden, layout)).keep[:, :8].sum() < 4


def test_what_is_refused():
    with pytest.raises(UsageError, match="no attention before layer 0"):
        random_vla(NANO, 0, EfficientVLATokens(layer=0))
    for wrong in ({"key": 0}, {"alpha": 1.5}):
        with pytest.raises(UsageError, match="efficientvla-tokens"):
            EfficientVLATokens(**wrong)
    model = random_vla(NANO, 0, EfficientVLATokens()).eval()
    batch = inputs(1)
    with pytest.raises(ModelError, match="efficientvla-tokens at before layer 2"):
        answer(model, replace(batch, proprio=batch.proprio * torch.nan))
