"""VLA-Cache: its rules on numbers worked out by hand, on tensors of the release, and inside a nano model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.layout import Layout, Span
from vla_bench.interface.needs import Rows
from vla_bench.interface.presets import NANO, SEVEN_B
from vla_bench.interface.sites import before_layer
from vla_bench.interface.view import Query
from vla_bench.model import pruning
from vla_bench.model.attention import Probe
from vla_bench.model.initialise import random_vla
from vla_bench.model.past import EPISODES, KVCache, recall
from vla_bench.model.sequence import Tokens
from vla_bench.model.stages import Stages
from vla_bench.model.vla import Inputs
from vla_bench.pruners import vla_cache_rules as rules
from vla_bench.pruners.spec import arguments
from vla_bench.pruners.vla_cache import VLACache
from vla_bench.records import EpisodeKey
from vla_bench.verify.baselines import vlacache
from vla_bench.verify.compare import CheckStatus, judge
from vla_bench.verify.fixture import Fixture, read

from .. import nanos

FILE = "fixtures/baselines_vlacache.npz"
EPISODE, OTHER = EpisodeKey("spatial", 0, 0), EpisodeKey("spatial", 0, 1)
P = NANO.patches


@pytest.fixture(autouse=True)
def one_thread():
    with nanos.one_thread():
        yield


# The rules


def went_on(output):
    """The image tokens behind every site."""
    return [kept.patches for kept in output.trace.sites]


def test_similarity_compares_patch_by_patch():
    now = np.zeros((4, 4, 3), dtype=np.uint8)
    before = np.zeros((4, 4, 3), dtype=np.uint8)
    now[:2, 2:], before[:2, 2:] = 7, 14  # only brighter: the same direction
    now[2:, :2, 0], before[2:, :2, 1] = 9, 9  # red turned green
    now[2:, 2:, 0], before[2:, 2:] = 9, 9  # red turned grey: 1 / sqrt(3)
    np.testing.assert_allclose(rules.similarity(now, before, 4), [0, 1, 0, 3**-0.5], atol=1e-6)  # a black patch is like nothing


def test_static_takes_the_most_similar_and_the_first_of_equals():
    similar = np.float32([0.997, 0.9, 1.0, 0.996, 1.0])
    assert rules.static(similar, 9, 0.996).tolist() == [2, 4, 0, 3]
    assert rules.static(similar, 3, 0.996).tolist() == [2, 4, 0]
    assert rules.static(similar, 1, 0.996).tolist() == [2]
    assert rules.static(similar, 0, 0.996).tolist() == []
    assert rules.static(similar, 9, 1.1).tolist() == []


def test_what_the_task_looks_at_is_evicted():
    scores = np.float32([0.1, 0.5, 0.2, 0.5, 0.3])
    still = np.array([4, 3, 2, 1])
    assert rules.without_task(still, scores, 0).tolist() == [4, 3, 2, 1]
    assert rules.without_task(still, scores, 1).tolist() == [4, 3, 2]  # 1 and 3 are equal, the smaller index comes first
    assert rules.without_task(still, scores, 3).tolist() == [2]
    assert rules.without_task(still, scores, 5).tolist() == []


def test_queue_takes_cameras_in_turn_or_positions():
    found = [np.array([5, 2, 7]), np.array([3, 0]), np.zeros(0, dtype=int)]
    assert rules.queue(found, 10, "sim").tolist() == [5, 13, 2, 10, 7]
    assert rules.queue(found, 10, "raster").tolist() == [2, 5, 7, 10, 13]


def test_entropy_of_known_distributions():
    sharp, flat = torch.eye(4), torch.full((4, 4), 0.25)
    assert rules.entropy(torch.stack([sharp, sharp])) == 0  # weights of zero are no trouble
    assert rules.entropy(flat[None]).item() == pytest.approx(np.log(4))
    assert rules.entropy(torch.stack([sharp, flat]) * 3).item() == pytest.approx(-(0.625 * np.log(0.625) + 0.375 * np.log(0.125)))
    assert rules.entropy(torch.cat([sharp[:2], flat[:2]])[None]).item() == pytest.approx(np.log(4) / 2)


def test_shares_fall_freely_and_rise_slowly():
    entropies = [1.0, 3.0, 2.0, 1.0, 3.0]
    assert rules.shares(entropies, growth=1.0) == [1.0, 0.0, 0.5, 1.0, 0.0]
    assert rules.shares(entropies) == pytest.approx([1.0, 0.0, 0.275, 0.275 + 0.55 * 0.725, 0.0])
    assert rules.shares([2.0, 2.0]) == [1.0, 1.0]


def test_quota_is_at_least_one_of_any():
    assert [rules.quota(share, 10) for share in (0.0, 0.19, 0.2, 0.99, 1.0)] == [1, 1, 2, 9, 10]
    assert rules.quota(0.5, 1) == 1
    assert rules.quota(1.0, 0) == 0


def test_numbers_of_other_models():
    assert [rules.scaled(n, 256) for n in (150, 100)] == [150, 100]
    assert [rules.scaled(n, 64) for n in (150, 100, 2)] == [38, 25, 0]  # 37.5 and 0.5 go to the even number
    assert rules.scaled_layers((2, 6, 9, 11), 32) == rules.scaled_layers((2, 6, 9, 11), 12) == (2, 6, 9, 11)
    assert rules.scaled_layers((2, 6, 9, 11), 6) == (1, 2, 3, 4)


# The release


def test_release_is_reproduced_and_nothing_left_out(shared):
    given = read(shared(FILE))
    rows = judge(FILE, given, vlacache.computed(given))
    assert {row.verdict for row in rows} == {CheckStatus.OK}, [row for row in rows if row.verdict is not CheckStatus.OK]
    assert sum(row.tensors for row in rows) == 44
    assert given.unread() == []


@pytest.mark.parametrize(
    "tensor",
    [
        "static/case1/similarity",
        "static/case1/static_ids_ordered",
        "filter_ar/case1/score",
        "filter_ar/case0/reusable_positions",
        "filter_oft/wrist/score",
        "filter_oft/primary/reusable_positions",
        "schedule/case2/reuse",
        "schedule/case0/reuse_no_growth",
    ],
)
def test_a_wrong_value_is_noticed(shared, tensor):
    assert misses(shared(FILE), tensor) == [tensor]


@pytest.mark.parametrize("tensor", ["tokens_per_layer", "final_positions", "last_hidden", "schedule", "k_cache_layer11"])
def test_a_wrong_value_of_a_control_step_is_noticed(shared, tensor):
    assert misses(shared(FILE), f"llm/step2/{tensor}", prefix="llm/") == [f"llm/step2/{tensor}"]


def misses(file: Path, tensor: str, prefix: str = "") -> list[str]:
    """Tensors that miss once the last value of `tensor` is another."""
    with np.load(file) as archive:
        prefix = prefix or tensor.split("/")[0]
        tensors = {name: archive[name] for name in archive.files if name.startswith(prefix)}
    tensors[tensor] = tensors[tensor].copy()
    tensors[tensor].reshape(-1)[-1] += 1
    given = Fixture(tensors)
    rows = judge("x", given, vlacache.computed(given))
    return [row.reason.split(" ")[0].rstrip(":") for row in rows if row.verdict is CheckStatus.MISS]


# Inside a model


def camera_images(seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (NANO.cameras, NANO.image_size, NANO.image_size, 3), dtype=np.uint8)


def query(images: np.ndarray | None, step: int = 0, episode: EpisodeKey | None = EPISODE, prompt=(5, 6, 7, 3)) -> Inputs:
    """One sample whose pixels are made from the images."""
    shown = camera_images() if images is None else images
    pixels = torch.from_numpy(shown).float().permute(0, 3, 1, 2) / 127.5 - 1  # (cameras, 3, S, S)
    pixels = torch.cat([pixels, pixels], dim=1).flatten(0, 1)[None]
    return Inputs(pixels, (prompt,), torch.linspace(-1, 1, 8)[None], (Query(episode, step, images),))


def with_patch_changed(images: np.ndarray, *ids: int) -> np.ndarray:
    """Those patches turned upside down in colour; ids count over both cameras."""
    changed, grid = images.copy(), int(P**0.5)
    side = NANO.image_size // grid
    for i in ids:
        camera, (row, column) = i // P, divmod(i % P, grid)
        block = changed[camera, row * side : (row + 1) * side, column * side : (column + 1) * side]
        block[:] = 255 - block
    return changed


@pytest.fixture(scope="module")
def dense():
    return random_vla(NANO, 0).eval()


@pytest.fixture(scope="module")
def make():
    """The same model with a VLACache of these options, which remembers nothing yet."""
    model = random_vla(NANO, 0).eval()

    def attach(**options):
        pruner = VLACache(**options)
        model.attach(pruner)
        return model, pruner

    return attach


ALL = {"static": 256, "task": 0, "schedule": "constant"}  # whatever stands still leaves, at once
EVERYONE = list(range(2 * P))


def final(output) -> list[int]:
    return output.tokens.ids[0].tolist()


def test_the_first_query_and_one_of_no_episode_are_dense(make, dense):
    cached, _ = make(**ALL)
    expected = nanos.answer(dense, query(camera_images())).actions
    for episode in (None, None, EPISODE):
        output = nanos.answer(cached, query(camera_images(), episode=episode))
        assert torch.equal(output.actions, expected) and final(output) == EVERYONE


@pytest.mark.parametrize("options", [{"static": 0}, {"task": 256}, {"threshold": 1.1}])
def test_with_nothing_to_reuse_every_query_is_the_dense_one(make, dense, options):
    cached, _ = make(**options)
    for step in range(3):
        sample = query(camera_images(step // 2), step)
        output = nanos.answer(cached, sample)
        assert torch.equal(output.actions, nanos.answer(dense, sample).actions) and final(output) == EVERYONE


@pytest.mark.parametrize("options", [ALL, {"layers": (0,), **ALL}, {"task": 20}, {"order": "raster", "with_proprio": True}])
def test_the_same_query_again_has_the_same_answer(make, dense, options):
    """What is stale is as good as fresh then, whichever tokens leave."""
    cached, _ = make(**options)
    expected = nanos.answer(dense, query(camera_images())).actions
    nanos.answer(cached, query(camera_images()))
    for step in (1, 2):
        again = nanos.answer(cached, query(camera_images(), step))
        assert len(final(again)) < 2 * P
        torch.testing.assert_close(again.actions, expected, atol=1e-5, rtol=1e-5)


def test_changed_patches_stay_and_answer_with_what_is_new(make, dense):
    cached, _ = make(**ALL)
    nanos.answer(cached, query(camera_images()))
    second = with_patch_changed(camera_images(), 3, 40, P + 9)
    output = nanos.answer(cached, query(second, 1))
    assert final(output) == [3, 40, P + 9]
    assert [len(patches.ids[0]) for patches in went_on(output)] == [3]  # a constant share has nothing to add later
    new, old = (nanos.answer(dense, query(shown)).actions for shown in (second, camera_images()))
    assert (output.actions - old).abs().max() > 1e-3  # it has seen the change,
    assert (output.actions - new).abs().max() > 1e-6  # and it is an approximation
    third = with_patch_changed(second, 5)
    assert final(nanos.answer(cached, query(third, 2))) == [5]  # compared with the query before, not with the first


def test_stale_keys_are_the_last_ones_and_fresh_ones_replace_them(make, monkeypatch):
    cached, _ = make(**ALL)
    recalled = []
    monkeypatch.setattr(pruning, "recall", lambda *given: recalled.append(past := recall(*given)) or past)
    nanos.answer(cached, query(camera_images()))
    (past,) = recalled
    before = {layer: key.clone() for layer, (key, _) in past.layers.items()}
    nanos.answer(cached, query(with_patch_changed(camera_images(), 3), 1))
    assert recalled[1] is past
    stale = [1 + i for i in EVERYONE if i != 3]
    for layer, (key, _) in past.layers.items():
        same = (key == before[layer]).all(dim=-1).all(dim=1)[0]
        if layer == 0:  # nothing has left yet, and the vision backbone lets all patches of an image see each other
            assert not same[1 : 1 + P].any()
        else:
            assert same[stale].all() and not same[4] and not same[1 + 2 * P :].any()


def test_a_share_is_taken_in_turn_from_the_cameras_or_from_the_top(make):
    for order, gone in (("sim", [0, 1, P, P + 1]), ("raster", [0, 1, 2, 3])):
        cached, _ = make(static=256, task=0, schedule="constant", share=4 / 128, order=order, threshold=0.5)
        plain = np.full_like(camera_images(), 90)  # all patches are equally similar
        nanos.answer(cached, query(plain))
        assert sorted(set(EVERYONE) - set(final(nanos.answer(cached, query(plain, 1))))) == gone


def test_what_the_prompt_looks_at_is_computed(make):
    cached, pruner = make(static=256, task=8, schedule="constant")  # 8 of 256 are 2 of 64
    nanos.answer(cached, query(camera_images()))
    attention = pruner.states[EPISODE].attention[0]
    expected = [camera * P + int(i) for camera in (0, 1) for i in attention[camera * P : (camera + 1) * P].topk(2).indices]
    assert final(nanos.answer(cached, query(camera_images(), 1))) == sorted(expected)
    # The second query's attention covers all image tokens although most were not computed.
    again = pruner.states[EPISODE].attention[0]
    torch.testing.assert_close(again, attention, atol=1e-6, rtol=1e-4)


def test_the_schedule_lets_more_leave_from_layer_to_layer_never_back(make):
    cached, pruner = make(static=256, task=0)
    nanos.answer(cached, query(camera_images()))
    output = nanos.answer(cached, query(camera_images(), 1))
    shares = pruner.states[EPISODE].shares
    counts = [max(1, int(shares[layer] * 2 * P)) for layer in (1, 2, 3, 4)]
    assert [2 * P - len(patches.ids[0]) for patches in went_on(output)] == sorted(set(np.maximum.accumulate(counts).tolist()))
    assert len(shares) == NANO.llm.layers and max(shares) <= 1 and min(shares) == 0


def test_refresh_makes_every_nth_query_dense(make, dense):
    cached, _ = make(refresh_every=3, **ALL)
    for step in (0, 1, 2, 3, 4, 0, 1, 2, 3):
        if step == 0:
            cached.reset(EPISODE)  # the count begins anew as well
        sample = query(camera_images(), step)
        output = nanos.answer(cached, sample)
        assert (final(output) == EVERYONE) == (step % 3 == 0)
        if step % 3 == 0:
            assert torch.equal(output.actions, nanos.answer(dense, sample).actions)


def _frames() -> list[np.ndarray]:
    return [camera_images(), with_patch_changed(camera_images(), 3, 70), with_patch_changed(camera_images(), 3, 71)]


def _trace(cached, episode: EpisodeKey) -> list[torch.Tensor]:
    return [nanos.answer(cached, query(shown, step, episode)).actions for step, shown in enumerate(_frames())]


def test_a_second_attempt_does_not_see_the_first_nor_one_episode_another(make):
    cached, _ = make(static=256, task=64)
    first = _trace(cached, EPISODE)
    cached.reset(EPISODE)
    assert all(map(torch.equal, _trace(cached, EPISODE), first))
    nanos.answer(cached, query(camera_images(5), 0, OTHER))
    cached.reset(EPISODE)
    mixed = []
    for step, shown in enumerate(_frames()):
        mixed.append(nanos.answer(cached, query(shown, step)).actions)
        nanos.answer(cached, query(camera_images(6 + step), step + 1, OTHER))
    assert all(map(torch.equal, mixed, first))


def test_another_length_of_the_prompt_starts_anew(make, dense):
    cached, _ = make(**ALL)
    nanos.answer(cached, query(camera_images()))
    longer = query(camera_images(), 1, prompt=(5, 6, 7, 8, 3))
    output = nanos.answer(cached, longer)
    assert torch.equal(output.actions, nanos.answer(dense, longer).actions)
    assert final(nanos.answer(cached, replace(longer, queries=(Query(EPISODE, 2, camera_images()),)))) == []


def test_it_fits_models_of_any_depth():
    for config, layers, layer in ((SEVEN_B, (2, 6, 9, 11), 15), (NANO, (1, 2, 3, 4), 3)):
        pruner = VLACache(schedule="constant")
        for _ in range(2):  # fitting twice changes nothing
            pruner.attach(config)
            assert pruner.sites == tuple(map(before_layer, layers))
            assert pruner.rows == (Rows(layer, Span.PROMPT),)
    with pytest.raises(UsageError, match="decoder of 6 layers"):
        VLACache(layers=(2, 6)).attach(NANO)
    with pytest.raises(UsageError, match="layer=20"):
        VLACache(layer=20).attach(NANO)
    with pytest.raises(UsageError, match="decoder of 3 layers"):
        VLACache().attach(replace(NANO, llm=replace(NANO.llm, layers=3)))


def test_profiles_and_bad_arguments():
    assert arguments(VLACache, "vla-cache", {"profile": "release", "order": "sim"}) == {"with_proprio": True, "against": "itself"}
    assert arguments(VLACache, "vla-cache", {"profile": "paper"}) == {"static": 100}
    for wrong in ({"static": -1}, {"share": 0}, {"share": 1.5}, {"layers": (6, 2)}, {"layers": ()}, {"refresh_every": -2}):
        with pytest.raises(UsageError, match="vla-cache"):
            VLACache(**wrong)


def test_what_cannot_work_says_so(make):
    cached, pruner = make()
    with pytest.raises(ModelError, match="one sample at a time"):
        nanos.answer(cached, nanos.inputs(2))
    nanos.answer(cached, query(camera_images()))
    with pytest.raises(ModelError, match="query at step 1 has none"):
        nanos.answer(cached, query(None, 1))
    pruner.states[EPISODE].attention[0, 7] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        nanos.answer(cached, query(camera_images(), 1))
    cached.reset(EPISODE)
    nanos.answer(cached, query(camera_images()))
    pruner.states[EPISODE].entropies[0, 2] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        nanos.answer(cached, query(camera_images(), 1))


def test_comparing_with_itself_finds_everything_still(make):
    cached, _ = make(against="itself", **ALL)
    nanos.answer(cached, query(camera_images()))
    assert final(nanos.answer(cached, query(camera_images(1), 1))) == []


# The host


def test_attention_over_completed_keys_names_every_column():
    layout = Layout(cameras=1, patches=4, proprio=0, prompts=(2,), slots=0)
    request = Rows(0, Span.PROMPT)
    probe = Probe((request,), layout, Stages())
    hidden = torch.zeros(1, 5, 1)  # BOS, patches 1 and 3, two of the prompt
    tokens = Tokens(hidden, torch.tensor([[0, 2, 4, 5, 6]]), None, torch.tensor([[1, 3]]), layout)
    key = torch.arange(7.0).view(1, 1, 7, 1)
    probe.record(0, torch.ones(1, 1, 5, 1), key, None, 1.0, tokens)
    found = probe.rows[request]
    assert found.image_columns == range(1, 5) and [at.tolist() for at in found.at] == [[[5, 6]], [list(range(7))]]
    torch.testing.assert_close(found.images(), torch.arange(7.0).softmax(dim=0)[None, 1:5])


def test_only_the_last_episodes_are_remembered():
    caches: dict[EpisodeKey, KVCache] = {}
    keys = [EpisodeKey("goal", 0, i) for i in range(EPISODES + 1)]
    first = [recall(caches, key, 9) for key in keys[:EPISODES]]
    assert recall(caches, keys[0], 9) is first[0]  # now the last to be dropped
    recall(caches, keys[-1], 9)
    assert keys[1] not in caches and recall(caches, keys[0], 9) is first[0]
    assert recall(caches, keys[0], 10) is not first[0]  # another length, another sequence
    assert len(caches) == EPISODES
    recall(caches, None, 9)
    assert len(caches) == EPISODES  # a query of no episode leaves nothing


@torch.no_grad()
def test_decoding_token_by_token_reuses_exactly_where_nothing_moved(make, dense):
    """Under causal attention keys depend on earlier tokens alone: those of an unchanged picture are what they were."""
    cached, _ = make(**ALL)
    cached.decode(query(camera_images()))
    answers = []
    for step, prompt in ((1, (5, 6, 7, 3)), (2, (9, 40, 8, 3))):  # also under other words, which stand behind the picture
        ids, output = cached.decode(query(camera_images(), step, prompt=prompt))
        assert final(output) == []
        expected, whole = dense.decode(query(camera_images(), step, prompt=prompt))
        assert ids.tolist() == expected.tolist()
        answers.append(output.tokens.hidden[0, -1])
        torch.testing.assert_close(answers[-1], whole.tokens.hidden[0, -1])
    assert (answers[0] - answers[1]).abs().max() > 0.01


@torch.no_grad()
def test_what_is_decoded_sees_reused_and_computed_tokens_alike(make, monkeypatch):
    cached, _ = make(**ALL)
    cached.decode(query(camera_images()))
    seen, decoder = [], cached.openvla.language_model
    step = decoder.step
    monkeypatch.setattr(
        decoder, "step", lambda hidden, at, memory: seen.append(memory.cache.layers[-1].keys.shape[2]) or step(hidden, at, memory)
    )
    _, output = cached.decode(query(with_patch_changed(camera_images(), 3, 70), 1))
    assert final(output) == [3, 70]
    everything = 1 + 2 * P + 1 + 4
    assert seen == [everything + number for number in range(6)]
