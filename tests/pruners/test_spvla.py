"""SP-VLA: threshold, attention, edges and extrapolation by hand; the choice inside the nano model and its policy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.nanos import answer, inputs, kept, one_thread, sample
from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.presets import NANO
from vla_bench.interface.view import Query
from vla_bench.model.images import Normalisation
from vla_bench.model.initialise import RANDOM_STATISTICS, random_vla
from vla_bench.model.normalisation import Statistics
from vla_bench.model.processor import Processor
from vla_bench.model.tokenizer import NANO_TOKENIZER, Tokenizer
from vla_bench.policies.vla import VLAPolicy
from vla_bench.pruners.edges import edge_patches
from vla_bench.pruners.spec import arguments
from vla_bench.pruners.spvla import SPVLA, most_attended, threshold
from vla_bench.pruners.spvla_scheduler import ActionHistory, extrapolate, may_skip
from vla_bench.records import EpisodeKey
from vla_bench.verify.baselines import spvla
from vla_bench.verify.compare import CheckStatus, judge
from vla_bench.verify.fixture import Fixture, read
from vla_bench.world.observation import Observation

GOLDEN = "fixtures/baselines_spvla.npz"
CAMERAS = ("agentview", "robot0_eye_in_hand")


@pytest.fixture(autouse=True)
def calm():
    with one_thread():
        yield


def moves(*xyz: tuple[float, float, float]) -> np.ndarray:
    actions = np.zeros((len(xyz), 7))
    actions[:, :3] = xyz
    return actions


@pytest.mark.parametrize("z, expected", [(0, 1), (0.49, 1), (0.5, 1), (0.6, 0.82), (0.75, 0.55), (1, 0.1), (1.7, 0.1)])
def test_the_threshold_falls_with_speed(z, expected):
    assert threshold(z, 0.5, 0.9) == pytest.approx(expected)


def test_profiles_are_the_suites():
    goal = SPVLA(**arguments(SPVLA, "spvla", {"profile": "goal"}))
    assert (goal.z_thre, goal.z_min, goal.rule) == (0.3, 0.7, (1.2, 0.3, 2))
    assert SPVLA().rule == (0.4, 0.3, 1) and arguments(SPVLA, "spvla", {"profile": "spatial"}) == {}
    for wrong in ({"z_thre": 1.0}, {"z_min": -0.1}, {"step_skip": 0}, {"step_skip": 7}):
        with pytest.raises(UsageError, match="spvla"):
            SPVLA(**wrong)


@pytest.mark.parametrize(
    "attention, share, expected",
    [
        ([0.125, 0.375, 0.25, 0.25], 0.5, [1, 2]),  # 0.375 is too little, 0.625 enough
        ([0.125, 0.375, 0.25, 0.25], 0.625, [1, 2]),  # exactly enough is enough
        ([0.125, 0.375, 0.25, 0.25], 0.7, [1, 2, 3]),
        ([0.125, 0.375, 0.25, 0.25], 0.0, [1]),  # one at least
        ([0.25, 0.25, 0.25, 0.25], 0.3, [0, 1]),  # ties
        ([0.5, 0.5, 0.0, 0.0], 0.9999, [0, 1]),
        ([0.5, 0.5, 0.0, 0.0], 1.0, [0, 1, 2, 3]),  # all means all, although two hold everything
        ([0.2, 0.2, 0.2, 0.2], 0.95, [0, 1, 2, 3]),  # never reached
    ],
)
def test_as_few_as_hold_the_share(attention, share, expected):
    keep = most_attended(torch.tensor([attention]), torch.tensor([share]))
    assert keep[0].nonzero().flatten().tolist() == expected


def test_edges_fall_into_their_patch():
    images = np.zeros((2, 56, 56, 3), np.uint8)
    images[0, 18:24, 32:38] = 255  # inside of patch (1, 2)
    images[1, :, 28:] = (0, 0, 255)  # blue beside black: too dark a step in grey
    found = edge_patches(images, 16)
    assert found.shape == (2, 16) and found[0].nonzero()[0].tolist() == [6] and not found[1].any()
    images[1, :, 28:] = (0, 255, 0)
    assert set(edge_patches(images, 16)[1].nonzero()[0] % 4) <= {1, 2} and edge_patches(images, 16)[1].sum() == 4
    with pytest.raises(ModelError, match="15 square patches"):
        edge_patches(images, 15)


def test_extrapolation():
    """x goes on, y would leave the reach, z stands; rotation and gripper stay."""
    history = np.stack([moves((0.1 * i, 0.85 + 0.01 * i, 0.2))[0] for i in range(6)])
    history[:, 3:] = np.random.default_rng(0).normal(size=(6, 4))
    action = extrapolate(history)
    np.testing.assert_allclose(action[:3], [0.6, 0.9, 0.2], atol=1e-4)
    np.testing.assert_array_equal(action[3:], history[-1, 3:])
    jump = extrapolate(moves(*[(0, 0, 0)] * 5, (0.5, 0, 0)))
    # Least squares of 0 0 0 0 0 0.5 at step 6 is 1/3: the line falls back from the jump.
    assert jump[0] == pytest.approx(1 / 3, abs=1e-4)
    bent = extrapolate(moves((-0.5, 0, 0), (-0.4, 0, 0), (-0.3, 0, 0), (-0.2, 0, 0), (-0.2, 0, 0), (-0.2, 0, 0)))
    assert bent[0] == pytest.approx(-0.1)  # the line is at -0.08; 0.1 is the largest change there was


def filled(*xyz: tuple[float, float, float], queried: int = 6) -> ActionHistory:
    past = ActionHistory()
    past.add(moves(*xyz[:queried]))
    past.extrapolating = True
    for last in xyz[queried:]:
        past.add(moves(last))
    return past


def test_when_a_step_may_be_extrapolated():
    flat, steep, high = (0.5, 0, 0.1), (0.1, 0.1, 0.1), (0.9, 0.9, 0.35)
    assert may_skip(filled(*[flat] * 6), 0.4, 0.3, 1)
    assert not may_skip(filled(*[flat] * 5), 0.4, 0.3, 1)  # too few actions
    assert not may_skip(filled(*[flat] * 5, steep), 0.4, 0.3, 1)
    assert not may_skip(filled(*[flat] * 5, high), 0.4, 0.3, 1) and may_skip(filled(*[flat] * 5, high), 0.4, 0.4, 1)
    assert may_skip(filled(*[flat] * 4, steep, flat), 0.4, 0.3, 1) and not may_skip(filled(*[flat] * 4, steep, flat), 0.4, 0.3, 2)
    assert may_skip(filled(*[flat] * 6, queried=4), 0.4, 0.3, 1) and not may_skip(filled(*[flat] * 6, queried=3), 0.4, 0.3, 1)
    assert not may_skip(filled(*[(0, 0, 0)] * 6), 0.4, 0.3, 1)  # an arm at rest goes nowhere


def batch_of(*speeds: float | None, pruner: SPVLA):
    """Queries with images, in episodes whose last action moved up at the given speed; None: there was none."""
    batch = inputs(len(speeds))
    queries = []
    for i, speed in enumerate(speeds):
        images = np.full((2, 112, 112, 3), 90, np.uint8)
        for camera, x in enumerate((17, 59)):  # a bright square inside of one patch, lower for every sample
            images[camera, 17 + 14 * i : 25 + 14 * i, x : x + 8] = 250
        queries.append(Query(EpisodeKey("spatial", 0, i), 8, images))
        pruner.reset(queries[-1].episode)
        if speed is not None:
            pruner.observe(queries[-1], moves(*[(0, 0, 0.9)] * 7, (0, 0, speed)))
    return replace(batch, queries=tuple(queries))


def test_a_slow_hand_changes_no_bit():
    dense = answer(random_vla(NANO, 0).eval(), inputs(3)).actions
    pruner = SPVLA()
    output = answer(random_vla(NANO, 0, pruner).eval(), batch_of(None, 0.2, -0.49, pruner=pruner))
    assert torch.equal(output.actions, dense) and output.kept_per_camera() == [(64, 64)] * 3
    assert torch.equal(answer(random_vla(NANO, 0, SPVLA()).eval(), inputs(3)).actions, dense)  # no episodes, no images


def test_what_stays_is_what_is_attended_to_and_edges():
    pruner = SPVLA()
    model = random_vla(NANO, 0, pruner).eval()
    batch = batch_of(0.6, -0.9, 1.4, pruner=pruner)
    output = answer(model, batch)
    with torch.no_grad():
        attended = model.openvla.vision_backbone.with_attention(batch.pixel_values)[1].reshape(3, 2, 64)
    torch.testing.assert_close(attended.sum(dim=-1), torch.ones(3, 2))
    for i, share in enumerate((0.82, 0.28, 0.1)):
        edges = edge_patches(batch.queries[i].images, 64)
        assert edges.nonzero()[1].tolist() == [9 + 8 * i, 12 + 8 * i]
        expected = []
        for camera in range(2):
            order = sorted(range(64), key=lambda j, a=attended[i, camera]: (-float(a[j]), j))
            held, chosen = 0.0, set(edges[camera].nonzero()[0].tolist())
            for j in order:
                chosen.add(j)
                held += float(attended[i, camera, j])
                if held >= share:
                    break
            expected += [64 * camera + j for j in sorted(chosen)]
        assert kept(output, i) == [expected]
    few = [sum(counts) for counts in output.kept_per_camera()]
    assert 128 > few[0] > few[1] > few[2]
    pruner.edges = False
    without = answer(model, batch)
    assert set(kept(without, 2)[0]) < set(kept(output, 2)[0])


@pytest.mark.parametrize("positions", ["keep", "renumber"])
def test_a_batch_answers_as_each_of_its_samples(positions):
    pruner = SPVLA(positions=positions)
    model = random_vla(NANO, 0, pruner).eval()
    batch = batch_of(0.7, None, 1.0, 0.55, pruner=pruner)
    together = answer(model, batch)
    assert len(set(together.kept_per_camera())) > 2 and together.kept_per_camera()[1] == (64, 64)
    for i in range(4):
        alone = answer(model, sample(batch, i))
        assert kept(alone, 0) == kept(together, i) or kept(alone, 0) == []  # nothing pruned alone, everything kept in a batch
        torch.testing.assert_close(alone.actions[0], together.actions[i], rtol=0, atol=1e-5)
    tails, counts = together.tokens.layout.tails, [sum(pair) for pair in together.kept_per_camera()]
    before = [128] * 4 if positions == "keep" else counts
    last = together.tokens.positions.masked_fill(~together.tokens.valid, 0).amax(dim=1)
    assert last.tolist() == [images + tail for images, tail in zip(before, tails, strict=True)]


def test_an_episode_does_not_see_another_nor_an_earlier_attempt():
    pruner = SPVLA()
    model = random_vla(NANO, 0, pruner).eval()
    batch = batch_of(1.0, None, pruner=pruner)
    first, second = answer(model, batch).kept_per_camera()
    assert sum(first) < 100 and second == (64, 64)
    pruner.reset(batch.queries[0].episode)
    assert answer(model, batch).kept_per_camera() == [(64, 64)] * 2


def test_a_fast_hand_needs_images():
    pruner = SPVLA()
    model = random_vla(NANO, 0, pruner).eval()
    batch = batch_of(1.0, pruner=pruner)
    blind = replace(batch, queries=(replace(batch.queries[0], images=None),))
    with pytest.raises(ModelError, match="no camera images to detect edges in"):
        answer(model, blind)
    pruner.edges = False
    answer(model, blind)


def policy(pruner: SPVLA) -> VLAPolicy:
    statistics = {"goal": Statistics.parse(RANDOM_STATISTICS["random"], "random")}
    processor = Processor(NANO, Tokenizer(NANO_TOKENIZER, NANO.tokens), Normalisation(), statistics, CAMERAS)
    return VLAPolicy("nano", random_vla(NANO, 0, pruner), processor)


def observation(seed: int) -> Observation:
    frame = np.random.default_rng(seed).integers(0, 256, (128, 128, 3), np.uint8)
    quat = np.array([1.0, 0, 0, 0])
    where = EpisodeKey("goal", 0, 0), 8 * seed, "turn on the stove"
    return Observation(*where, np.zeros(3), quat, np.zeros(2), None, dict.fromkeys(CAMERAS, frame))


def test_inside_a_policy():
    """Pictures arrive, the speed is the answer's own, and after an episode's end it starts at rest again."""
    pruner = SPVLA(z_thre=0.0, z_min=1.0)  # any motion counts
    acting = policy(pruner)
    first = acting.act([observation(0)])[0]
    assert first.kept_tokens == (64, 64)
    pruner.edges = False  # noise is full of edges
    second = acting.act([observation(1)])[0]
    share = 1 - min(abs(first.actions[-1, 2]), 1)
    assert share < 1 and second.kept_total < 128
    acting.reset(EpisodeKey("goal", 0, 0))
    assert acting.act([observation(2)])[0].kept_tokens == (64, 64)


def test_the_scheduler_inside_a_policy():
    """A flat chunk of 8 is followed by at most three extrapolated steps: then half of the last six are not the model's."""
    acting = policy(SPVLA(scheduler=True, z_xy_rate=1e9, z_max=1e9, edges=False))
    chunks = [acting.act([observation(i)])[0] for i in range(6)]
    assert [len(chunk.actions) for chunk in chunks] == [8, 1, 1, 1, 8, 1]
    np.testing.assert_array_equal(chunks[1].actions[0], extrapolate(chunks[0].actions[2:]))
    assert chunks[1].kept_tokens == (0, 0)
    assert [len(policy(SPVLA()).act([observation(i)])[0].actions) for i in range(2)] == [8, 8]


def test_the_golden_tensors(shared):
    given = read(shared(GOLDEN))
    rows = judge(GOLDEN, given, spvla.computed(given))
    assert {row.verdict for row in rows} == {CheckStatus.OK} and all("transcription" in row.family for row in rows)
    tensors = {name: given[name] for name in given.names()}
    for name in (
        "prune/case1/threshold",
        "prune/case2/n_attn_tokens",
        "prune/case3/edge_tokens",
        "prune/case1/kept",
        "ridge/case0/next",
    ):
        wrong = Fixture({**tensors, name: tensors[name] + (1 if tensors[name].dtype.kind == "i" else 1e-4)})
        missed = {row.family for row in judge("wrong", wrong, spvla.computed(wrong)) if row.verdict is CheckStatus.MISS}
        assert any(name.split("/")[-1] in family for family in missed)
