"""VLA-ADP: its score, the cameras' parts, its gate, and all of it inside the model."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from tests.nanos import answer, inputs, kept, sample
from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.presets import NANO
from vla_bench.interface.view import Query
from vla_bench.model.initialise import random_vla
from vla_bench.model.vla import VLA
from vla_bench.pruners.spec import arguments
from vla_bench.pruners.vla_adp import VLAADP, clip, importance, keep_best, shares
from vla_bench.pruners.vla_adp_gate import MotionGate, displacement
from vla_bench.records import EpisodeKey
from vla_bench.verify.baselines.adp import computed
from vla_bench.verify.compare import CheckStatus, judge
from vla_bench.verify.fixture import Fixture, read

FIXTURE = "fixtures/baselines_adp.npz"
FIRST, SECOND = EpisodeKey("spatial", 0, 0), EpisodeKey("spatial", 0, 1)


NANO_MODEL = cache(lambda: random_vla(NANO, 0).eval())  # drawing its weights takes longer than all its answers


def model(**options) -> VLA:
    found = deepcopy(NANO_MODEL())
    found.attach(VLAADP(**options).eval())
    return found


def line(*lengths: float) -> np.ndarray:
    """Positions after steps of these lengths along x, from 0; what was at 0 is not among them."""
    return np.cumsum([[length, 0, 0] for length in lengths], axis=0)


# Values of the release


def test_the_release_is_reproduced_and_nothing_is_left_unread(shared):
    rows = judge("adp", given := read(shared(FIXTURE)), computed(given))
    assert [row for row in rows if row.verdict is not CheckStatus.OK] == [] and len(rows) == 4


@pytest.mark.parametrize("ending", ["importance", "per_image_keep", "keep_idx", "state_used_per_window"])
def test_a_changed_value_misses(shared, ending):
    given = read(shared(FIXTURE))
    name = next(name for name in given.names() if name.endswith(ending))
    tensors = {each: given[each].copy() for each in given.names()}
    tensors[name][0] += 1e-4 if ending == "importance" else 1
    rows = judge("adp", changed := Fixture(tensors), computed(changed))
    assert [ending in row.family for row in rows if row.verdict is CheckStatus.MISS] == [True]


# By hand


def test_importance_is_the_mean_over_heads_and_real_text():
    query = torch.tensor([[[[1.0, 0], [3, 0], [100, 100]], [[0, 2], [0, 4], [100, 100]]]])  # 2 heads, the last token padding
    key = torch.tensor([[[[1.0, 0], [0, 1]], [[5, 1], [0, 0]]]])
    # Head 0 asks for (2, 0), head 1 for (0, 3): 2 and 0, 3 and 0; their means over sqrt(2).
    expected = torch.tensor([[2.5, 0.0]]) / 2**0.5
    assert torch.allclose(importance(query, key, torch.tensor([[True, True, False]])), expected)


@pytest.mark.parametrize(
    "k, split, expected",
    [
        (384, (0.4, 0.6), [154, 230]),
        (77, (0.5, 0.5), [39, 38]),  # both halves round down to even, and the first of the heaviest gets the rest
        (79, (0.5, 0.5), [39, 40]),  # both round up
        (10, (1.0, 1.0, 2.0), [2, 2, 6]),
        (10, (0.01, 0.99), [1, 9]),
        (1, (0.5, 0.5), [1, 1]),
    ],
)
def test_shares(k, split, expected):
    assert shares(k, split) == expected


def test_what_is_above_a_picture_is_lost_or_goes_to_the_other():
    assert clip([92, 369], 256, "lose") == [92, 256]
    assert clip([92, 369], 256, "move") == [205, 256]
    assert clip([300, 300], 256, "move") == [256, 256]


def test_every_camera_keeps_its_best_and_ties_go_to_the_smaller_index():
    scores = torch.tensor([[1.0, 5, 5, 9, 9, 9]])
    camera = torch.tensor([[0, 0, 0, 1, 1, -1]])
    assert keep_best(scores, camera, [1, 2]).tolist() == [[False, True, False, True, True, False]]
    assert keep_best(scores, camera, [0, 1]).sum() == 1


def test_displacement():
    there_and_back = np.array([[0.0, 0, 0], [3, 4, 0], [0, 0, 0], [0, 0, 1]])
    assert displacement(there_and_back, "sum") == 11 and displacement(there_and_back, "net") == 1
    assert displacement(there_and_back[:1], "sum") == 0


def test_the_gate_by_hand():
    def run(*distances, **options):
        gate = MotionGate(**options)
        return [int(gate.close(d)) for d in distances]

    # Two windows to compare with; longest yet: prune; shorter than both: not; between: prune, or as before.
    assert run(1, 2, 3, 1, 2, 1.5, fuse=0) == [0, 0, 1, 0, 1, 1]
    assert run(1, 2, 3, 1, 2, 1.5, fuse=0, between="last") == [0, 0, 1, 0, 0, 0]
    assert run(1, 1, 1, fuse=0) == [0, 0, 1]
    # Averages 4, 3, 3.5, 2.25.
    assert run(4, 2, 4, 1, rule="avg", fuse=0) == [1, 0, 1, 0]
    # After three pruned ones in a row one is not, and counting starts again; "last" then repeats that one.
    assert run(*range(1, 11), fuse=3) == [0, 0, 1, 1, 1, 0, 1, 1, 1, 0]
    assert run(1, 2, 3, 4, 5, 6, 5.5, between="last", fuse=3) == [0, 0, 1, 1, 1, 0, 0]


def test_a_window_begins_where_the_last_one_ended_and_settling_is_none():
    gate = MotionGate("avg", fuse=0, distance="net")
    assert not gate.follow(line(9, 9, 9))  # ends at 27
    assert gate.follow(np.array([[28.0, 0, 0]]))  # one step is a distance of 1
    assert not gate.follow(np.array([[28.5, 0, 0]]))
    assert gate.follow(np.array([[30.0, 0, 0]]))


# Inside the model


@pytest.mark.parametrize("split, expected", [((), (16, 16)), ((0.25, 0.75), (8, 24)), ((1.0, 9.0), (3, 29))])
def test_without_a_gate_every_query_keeps_its_count(split, expected):
    assert answer(model(keep=0.25, split=split, gate="off"), inputs(3)).kept_per_camera() == [expected] * 3


def test_no_more_than_all_of_a_camera_is_kept():
    batch = inputs(1)
    assert answer(model(keep=0.8, split=(0.1, 0.9), gate="off"), batch).kept_per_camera() == [(38, 64)]  # 102 in all
    assert answer(model(keep=0.8, split=(0.1, 0.9), gate="off", overflow="lose"), batch).kept_per_camera() == [(10, 64)]


@pytest.mark.parametrize("options", [{"keep": 1.0, "gate": "off"}, {"keep": 0.3}, {"keep": 0.3, "positions": "renumber"}])
def test_with_everything_kept_the_model_is_the_dense_one(options):
    batch = inputs(3)  # queries of no episode: every one is a first one, which is never pruned
    assert torch.equal(answer(model(**options), batch).actions, answer(NANO_MODEL(), batch).actions)


def test_the_instruction_and_not_what_else_stands_behind_the_images_decides():
    pruned, batch = model(keep=0.1, gate="off"), inputs(1)
    before = kept(answer(pruned, batch), 0)
    assert kept(answer(pruned, replace(batch, proprio=batch.proprio + 3)), 0) == before
    assert kept(answer(pruned, replace(batch, prompts=((40, 41, 42, 3),))), 0) != before


@pytest.mark.parametrize("positions", ["keep", "renumber"])
def test_a_batch_is_its_samples(positions):
    pruned, batch = model(keep=0.2, split=(0.3, 0.7), gate="off", positions=positions), inputs(5)
    together = answer(pruned, batch)
    for i in range(5):
        alone = answer(pruned, sample(batch, i))
        assert kept(together, i) == kept(alone, 0)
        assert torch.allclose(together.actions[i], alone.actions[0], atol=1e-5)


def test_renumbered_positions_are_another_answer_from_the_same_tokens():
    batch = inputs(1)
    own, anew = (answer(model(keep=0.2, gate="off", positions=p), batch) for p in ("keep", "renumber"))
    assert kept(own, 0) == kept(anew, 0) and anew.tokens.positions[0].tolist() == list(range(anew.tokens.positions.shape[1]))
    assert own.tokens.positions[0, -1] > anew.tokens.positions[0, -1] and not torch.equal(own.actions, anew.actions)


def episode(pruned: VLA, key: EpisodeKey, lengths: tuple[float, ...], others: tuple[Query, ...] = ()) -> list[int]:
    """How many image tokens each query keeps, the arm having moved so far before it."""
    found, at = [], 0.0
    for number, length in enumerate(lengths):
        at += length
        query = Query(key, 8 * number, path=np.array([[at - length / 2, 0, 0], [at, 0, 0]]))
        batch = replace(inputs(1 + len(others)), queries=(query, *others))
        found.append(sum(answer(pruned, batch).kept_per_camera()[0]))
    return found


def test_episodes_do_not_see_each_other_nor_an_earlier_attempt():
    pruned, lengths = model(keep=0.25), (50.0, 1.0, 2.0, 3.0, 1.0, 2.0)
    expected = [128, 128, 128, 32, 128, 32]  # the settling counts for nothing
    assert episode(pruned, FIRST, lengths) == expected
    assert episode(pruned, SECOND, lengths) == expected
    assert episode(pruned, FIRST, lengths) != expected  # without a reset
    pruned.reset(FIRST)
    assert episode(pruned, FIRST, lengths) == expected


def test_a_batch_may_hold_pruned_and_full_queries():
    pruned, batch = model(keep=0.25), inputs(2)
    queries = [Query(FIRST, path=line(0.0)), *(Query(FIRST, path=line(float(d))) for d in (1, 5, 20))]
    for query in queries[:3]:
        answer(pruned, replace(sample(batch, 0), queries=(query,)))
    mixed = answer(pruned, replace(batch, queries=(queries[3], Query(SECOND, path=line(1.0)))))
    assert mixed.kept_per_camera() == [(16, 16), (64, 64)]
    always = answer(model(keep=0.25, gate="off"), sample(batch, 0))
    assert kept(mixed, 0) == kept(always, 0) and torch.allclose(mixed.actions[0], always.actions[0], atol=1e-5)
    full = answer(NANO_MODEL(), sample(batch, 1))
    assert torch.allclose(mixed.actions[1], full.actions[0], atol=1e-5)


# What cannot be


def test_errors_say_what_is_wrong():
    with pytest.raises(UsageError, match="3 parts.* 2 cameras"):
        model(split=(1.0, 1.0, 1.0))
    with pytest.raises(UsageError, match="split"):
        VLAADP(split=(0.5, 0.0))
    with pytest.raises(ModelError, match="no path of the gripper"):
        answer(model(), replace(inputs(1), queries=(Query(FIRST),)))
    broken = model(gate="off")
    broken.openvla.language_model.model.layers[0].self_attn.q_proj.weight.data[0, 0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        answer(broken, inputs(1))


def test_profiles_are_arguments():
    release = arguments(VLAADP, "vla-adp", {"profile": "release"})
    assert release["split"] == (0.4, 0.6) and release["positions"] == "renumber" and VLAADP(**release).renumber
    assert arguments(VLAADP, "vla-adp", {"split": "0.4/0.6"}) == {"split": (0.4, 0.6)}
    assert arguments(VLAADP, "vla-adp", {"profile": "paper"}) == {}
    assert VLAADP().adaptive and not VLAADP(gate="off").adaptive
