"""FlashVLA: the score, the choice inside the nano model, and the trigger that answers twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.nanos import answer, inputs, kept, one_thread, sample
from vla_bench.errors import ModelError, VlaBenchError
from vla_bench.interface.layout import Layout
from vla_bench.interface.presets import NANO
from vla_bench.interface.sites import before_layer
from vla_bench.interface.view import Patches, Query, View
from vla_bench.model.initialise import random_vla
from vla_bench.pruners.flashvla import FlashVLA, angle_between, contributions
from vla_bench.records import EpisodeKey
from vla_bench.verify.baselines import flashvla_ics
from vla_bench.verify.compare import CheckStatus, judge
from vla_bench.verify.fixture import Fixture, read

GOLDEN = "fixtures/baselines_flashvla_ics.npz"
EPISODE = EpisodeKey("goal", 0, 0)


@pytest.fixture(autouse=True)
def calm():
    with one_thread():
        yield


def test_the_score_worked_out_by_hand():
    """Singular values 4 and 2 behind a rotation by 45 degrees: each row has 4c + 2c, its norm being sqrt(20) c only."""
    c = 0.5**0.5
    scores, sigma = contributions(torch.tensor([[[4 * c, -2 * c], [4 * c, 2 * c]], [[0.0, 3.0], [0.0, 0.0]]]))
    torch.testing.assert_close(scores, torch.tensor([[6 * c, 6 * c], [3.0, 0.0]]))
    torch.testing.assert_close(sigma, torch.tensor([[4.0, 2.0], [3.0, 0.0]]))


def test_the_score_does_not_depend_on_the_basis_and_has_zeros_behind_the_rank():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, 12, 5, generator=generator)
    turn = torch.linalg.qr(torch.randn(5, 5, generator=generator)).Q
    scores, sigma = contributions(x)
    torch.testing.assert_close(contributions(x @ turn)[0], scores, rtol=1e-5, atol=1e-5)
    assert sigma.shape == (1, 12) and sigma[0, 5:].max() < 1e-6 * sigma[0, 0]
    torch.testing.assert_close(sigma[0, :5], torch.linalg.svdvals(x[0]), rtol=1e-5, atol=1e-5)
    assert (scores >= x.norm(dim=-1) - 1e-5).all() and (scores <= 5**0.5 * x.norm(dim=-1) + 1e-5).all()


@pytest.mark.parametrize("keep, counts", [(0.25, (16, 16)), (10, (5, 5)), (1, (64, 64)), (4, (2, 2))])
def test_as_many_of_each_camera_as_asked_for(keep, counts):
    output = answer(random_vla(NANO, 0, FlashVLA(keep=keep)).eval(), inputs(2))
    assert output.kept_per_camera() == [counts] * 2


def test_keeping_everything_changes_no_bit():
    dense = answer(random_vla(NANO, 0).eval(), inputs(3)).actions
    for pruner in (FlashVLA(keep=1), FlashVLA(keep=128, quota="global")):
        assert torch.equal(answer(random_vla(NANO, 0, pruner).eval(), inputs(3)).actions, dense)


@pytest.mark.parametrize("quota", ["per_image", "global"])
def test_a_batch_answers_as_each_of_its_samples(quota):
    model = random_vla(NANO, 0, FlashVLA(keep=0.3, quota=quota)).eval()
    batch = inputs(4)
    together = answer(model, batch)
    assert len({len(prompt) for prompt in batch.prompts}) > 1
    for i in range(4):
        alone = answer(model, sample(batch, i))
        assert kept(alone, 0) == kept(together, i) and len(kept(alone, 0)[0]) == 38
        torch.testing.assert_close(alone.actions[0], together.actions[i], rtol=0, atol=1e-5)


def test_the_kept_are_those_with_the_highest_score():
    """Looked at from outside: the tokens that enter layer 2 of the dense model, scored by a plain SVD."""
    seen = {}

    class Watching(FlashVLA):
        def select(self, view):
            seen["hidden"] = view.patches.hidden
            return super().select(view)

    output = answer(random_vla(NANO, 0, Watching(keep=0.25, quota="global")).eval(), inputs(1))
    u, sigma, _ = torch.linalg.svd(seen["hidden"][0].double(), full_matrices=False)
    best = (u.abs() * sigma).sum(dim=-1).topk(32).indices.sort().values
    assert kept(output, 0) == [best.tolist()]


def test_hidden_states_that_are_not_numbers():
    layout = Layout(cameras=1, patches=4, proprio=0, prompts=(1,), slots=0)
    hidden = torch.ones(1, 4, 3)
    hidden[0, 2, 1] = torch.nan
    view = View(before_layer(2), Patches(hidden, torch.arange(4)[None]), layout, (Query(step=7),))
    with pytest.raises(ModelError, match="flashvla-ics at before layer 2, step 7: the scores are not finite"):
        FlashVLA(keep=2).select(view)


def test_a_layer_that_is_not_there():
    for layer in (-1, 6):
        with pytest.raises(VlaBenchError, match="flashvla-ics"):
            random_vla(NANO, 0, FlashVLA(layer=layer))


def test_angles():
    east, north = np.array([[1.0, 0], [1, 0]]), np.array([[0.0, 1], [0, 1]])
    assert angle_between(east, 3 * east) == 0
    assert angle_between(east, north) == pytest.approx(90)
    assert angle_between(east, -east) == pytest.approx(180)
    assert angle_between(east, east + north) == pytest.approx(45)
    assert angle_between(east, 0 * east) == 180  # nothing to continue


class Run:
    """Queries of one pruner as a policy makes them, with answers given from outside."""

    def __init__(self, **options):
        self.pruner = FlashVLA(keep=0.25, **options)
        self.model = random_vla(NANO, 0, self.pruner).eval()

    def __call__(self, action: float, image: int = 0, episode: EpisodeKey = EPISODE, gripper: float = 1.0) -> bool:
        """Whether the last chunk was returned again; `image` is the seed of what the cameras see."""
        query = Query(episode)
        actions = np.zeros((8, 7))
        actions[:, 0], actions[:, 6] = action, gripper
        given = self.pruner.cached_action(query)
        if given is None:
            answer(self.model, replace(inputs(1, image), queries=(query,)))
        self.pruner.observe(query, actions if given is None else given)
        self.given = given
        return given is not None


def test_the_trigger_answers_again_but_never_twice_in_a_row():
    run = Run(trigger=True)
    assert [run(0.5) for _ in range(7)] == [False, False, True, False, True, False, True]
    assert run.given.shape == (8, 7) and (run.given[:, 0] == 0.5).all()
    run.given[:] = 9  # what the caller does with an answer is not remembered
    run(0.5)
    assert run(0.5) and (run.given[:, 0] == 0.5).all()


def test_the_trigger_wants_one_direction_and_the_same_tokens():
    run = Run(trigger=True)
    assert [run(a) for a in (0.5, -0.5, 0.5, -0.5, -0.5, 0.0)] == [False] * 5 + [True]
    run = Run(trigger=True)
    assert not any(run(0.5, image) for image in range(4))  # other images, other tokens
    assert not any(map(Run(trigger=True, angle=0).__call__, [0.5] * 3))  # less than nothing
    assert not any(map(Run(trigger=True, overlap=1).__call__, [0.5] * 3))  # more than all of them
    assert not any(map(Run().__call__, [0.5] * 3))  # it is off by itself


def test_an_episode_does_not_see_another_nor_an_earlier_attempt():
    run, other = Run(trigger=True), EpisodeKey("goal", 0, 1)
    assert [run(0.5), run(0.5)] == [False, False]
    assert not run(0.5, episode=other)
    run.pruner.reset(EPISODE)
    assert [run(0.5), run(0.5), run(0.5)] == [False, False, True]
    assert [run(0.5, episode=other), run(0.5, episode=other)] == [False, True]
    assert not any(run(0.5, episode=None) for _ in range(4))


def test_the_golden_scores(shared):
    given = read(shared(GOLDEN))
    rows = judge(GOLDEN, given, flashvla_ics.computed(given))
    assert {row.verdict for row in rows} == {CheckStatus.OK} and sum(row.tensors for row in rows) == 8
    tensors = {name: given[name] for name in given.names()}
    for name in ("ics/case2/score", "ics/case3/singular_values"):
        wrong = Fixture({**tensors, name: tensors[name] * (1 + 1e-4)})
        assert CheckStatus.MISS in {row.verdict for row in judge("wrong", wrong, flashvla_ics.computed(wrong))}
