import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from vla_bench.errors import CheckpointError, ModelError, UsageError
from vla_bench.model.action_tokens import decode, encode
from vla_bench.model.normalisation import (
    Statistics,
    axis_angle,
    choose_statistics,
    dataset_actions,
    env_actions,
    normalise_actions,
    normalise_proprio,
    proprio_state,
    unnormalise_actions,
)

from ..conftest import ROOT


def entry() -> dict:
    """Statistics whose numbers are easy to follow: actions of 0 to 2, states of -1 to 3."""
    return {
        "action": {"q01": [0.0] * 6 + [0.0], "q99": [2.0] * 6 + [1.0], "mask": [True] * 6 + [False]},
        "proprio": {"q01": [-1.0] * 8, "q99": [3.0] * 8},
        "num_transitions": 12,
    }


@pytest.fixture
def statistics():
    return Statistics.parse(entry(), "easy")


@pytest.fixture(scope="module")
def utils(shared):
    return dict(np.load(shared("fixtures/utils.npz")))


@pytest.mark.parametrize("case", "ab")
def test_states_and_actions_are_the_references(shared, case):
    from safetensors.numpy import load_file

    tensors = load_file(shared(f"fixtures/e2e_eval_{case}.safetensors"))
    table = json.loads(shared("fixtures/tiny_ckpt/dataset_statistics.json").read_text())
    statistics = choose_statistics(table, "libero_spatial")[1]
    assert np.array_equal(normalise_proprio(tensors["state_raw"], statistics), tensors["proprio_norm"])
    for model in ("dense", "light"):
        actions = unnormalise_actions(tensors[f"{model}.actions_normalized"], statistics)
        assert np.abs(actions - tensors[f"{model}.actions"]).max() < 1e-6  # the reference multiplies in float32
        assert np.array_equal(env_actions(actions)[:, 6], tensors[f"{model}.env_actions"][:, 6])
        assert np.array_equal(env_actions(tensors[f"{model}.actions"]), tensors[f"{model}.env_actions"])
    spoken = unnormalise_actions(decode(tensors["dense.discrete_token_ids"]).reshape(8, 7), statistics)
    assert np.array_equal(spoken, tensors["dense.discrete_actions"])


def test_small_rules_are_the_references(utils):
    assert np.array_equal(encode(utils["tok.actions"]), utils["tok.ids"])
    assert np.array_equal(decode(utils["tok.ids"]), utils["tok.decoded"])
    assert axis_angle(utils["quat.xyzw"]) == pytest.approx(utils["quat.axisangle"], abs=1e-12)
    assert np.array_equal(env_actions(utils["grip.actions"]), utils["grip.env_actions"])


def test_parsing(statistics):
    assert statistics.action_high.tolist() == [2.0] * 6 + [1.0] and statistics.action_high.dtype == np.float64
    assert statistics.action_mask.tolist() == [True] * 6 + [False] and statistics.proprio_low.tolist() == [-1.0] * 8


def test_a_data_set_may_be_scaled_by_its_least_and_greatest():
    table = {**entry(), "normalization": "bounds"}
    table["action"] |= {"min": [-2.0] * 7, "max": [6.0] * 7}
    table["proprio"] |= {"min": [-3.0] * 8, "max": [5.0] * 8}
    found = Statistics.parse(table, "wide")
    assert found.action_low.tolist() == [-2.0] * 7 and found.action_high.tolist() == [6.0] * 7
    assert found.proprio_low.tolist() == [-3.0] * 8 and found.proprio_high.tolist() == [5.0] * 8
    assert Statistics.parse({**table, "normalization": "bounds_q99"}, "x").action_high.tolist() == [2.0] * 6 + [1.0]


def broken(part: str, name: str, value: object) -> dict:
    table = entry()
    table[part][name] = value
    return table


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (broken("action", "q01", [0.0] * 6), "action.q01"),
        (broken("action", "q99", [math.nan] * 7), "action.q99"),
        (broken("action", "q99", [math.inf] * 7), "action.q99"),
        (broken("action", "q99", ["a"] * 7), "action.q99"),
        (broken("action", "q99", [-1.0] * 7), "q01 lies above"),
        (broken("action", "mask", [True] * 6), "action.mask"),
        (broken("action", "mask", [2] * 7), "action.mask"),
        (broken("action", "mask", ["true"] * 7), "action.mask"),
        (broken("action", "mask", True), "action.mask"),
        (broken("action", "mask", None), "action.mask"),
        (broken("proprio", "mask", [True] * 7), "proprio.mask must be 8"),
        (broken("proprio", "q01", [0.0] * 7), "proprio.q01"),
        (broken("proprio", "q99", None), "proprio.q99"),
        ({"proprio": entry()["proprio"]}, "no action"),
        ({**entry(), "proprio": [1, 2]}, "no proprio"),
        ({**entry(), "normalization": "normal"}, "bounds, bounds_q99, not 'normal'"),
        ({**entry(), "normalization": "bounds"}, "action.min is missing"),
        (None, "not a table"),
    ],
)
def test_statistics_that_cannot_be_used(table, named):
    with pytest.raises(CheckpointError, match=f'"mine".*{named}'):
        Statistics.parse(table, "mine")


@pytest.mark.parametrize("proprio", [None, {"q01": [0.0] * 7, "q99": [0.0] * 7}])
def test_a_data_set_without_proprioception(proprio):
    table = entry()
    table["proprio"] = proprio
    found = Statistics.parse(table, "old")
    assert found.proprio_low is None
    with pytest.raises(CheckpointError, match="no proprioception"):
        normalise_proprio(np.zeros(8), found)


def test_choice_of_statistics():
    spatial, goal, other = "libero_spatial", "libero_goal", "kitchen"

    def chosen(keys, requested=None):
        key, statistics, why = choose_statistics({key: entry() for key in keys}, spatial, requested)
        assert isinstance(statistics, Statistics)
        return key, why

    assert chosen([other, spatial, f"{spatial}_no_noops"], other) == (other, "asked for")
    assert chosen([f"{goal}_no_noops"], f"{goal}_no_noops")[0] == f"{goal}_no_noops"  # asked for is asked for
    assert chosen([f"{spatial}_no_noops", spatial])[0] == spatial
    assert chosen([goal, f"{spatial}_no_noops"])[0] == f"{spatial}_no_noops"
    assert chosen([other]) == (other, "the only one")
    assert chosen(["libero_4_task_suites"])[0] == "libero_4_task_suites"


def test_a_mask_may_be_missing_or_of_ones_and_zeros():
    """The reference's loader writes one only where it was given one, and reads a missing one as all true."""
    assert Statistics.parse(broken("action", "mask", [1, 1, 1, 1, 1, 1, 0]), "x").action_mask.tolist() == [True] * 6 + [False]
    assert Statistics.parse(broken("action", "mask", [1.0] * 5 + [0.0] * 2), "x").action_mask.tolist() == [True] * 5 + [False] * 2
    bare = entry()
    del bare["action"]["mask"]
    key, found, why = choose_statistics({"kitchen": bare}, "libero_goal")
    assert found.action_mask.tolist() == [True] * 7 and why == "the only one; it has no mask, so all seven dimensions are scaled"
    assert unnormalise_actions(np.zeros(7), found).tolist() == pytest.approx([1.0] * 6 + [0.5])
    assert "mask" not in choose_statistics({"kitchen": entry()}, "libero_goal")[2]


def test_a_state_may_have_a_mask_too():
    found = Statistics.parse(broken("proprio", "mask", [True] * 6 + [False] * 2), "x")
    assert normalise_proprio(np.full(8, 0.5), found).tolist() == pytest.approx([-0.25] * 6 + [0.5] * 2)


def test_a_name_may_have_a_version():
    def chosen(*keys):
        return choose_statistics({key: entry() for key in keys}, "libero_10")[0]

    assert chosen("libero_10_no_noops_1.0.0", "libero_goal_no_noops_1.0.0") == "libero_10_no_noops_1.0.0"
    assert chosen("libero_10:2.1", "libero_90_no_noops") == "libero_10:2.1"
    assert chosen("libero_10_no_noops_1.0.0", "libero_10_no_noops") == "libero_10_no_noops"
    with pytest.raises(CheckpointError, match="2 statistics could be libero_10's: libero_10_1.0.0, libero_10_no_noops_2.0"):
        chosen("libero_10_1.0.0", "libero_10_no_noops_2.0")
    with pytest.raises(CheckpointError, match="no statistics for libero_10"):
        chosen("libero_100", "libero_10_of_mine")


@pytest.mark.parametrize(
    "key",
    ["bridge_orig", "bridge_dataset/1.0.0", "fractal20220817_data", "kuka", "droid", "bc_z", "RoboTurk", "fmb_dataset:1.0.0",
     "austin_buds_dataset_converted_externally_to_rlds", "some_lab_converted_externally_to_rlds", "berkeley_autolab_ur5"],
)  # fmt: skip
def test_other_robots_are_never_taken_because_they_are_the_only_ones(key):
    with pytest.raises(CheckpointError, match=f"libero_object: {key} is a data set of Open X-Embodiment") as caught:
        choose_statistics({key: entry()}, "libero_object")
    assert f"--unnorm-key {key}" in caught.value.fix
    assert choose_statistics({key: entry()}, "libero_object", key)[2] == "asked for"


@pytest.mark.parametrize("key", ["my_own_mix", "libero_4_task_suites_no_noops", "bridge_of_libero", "kukado", "franka_lab"])
def test_names_of_ones_own_are_believed(key):
    assert choose_statistics({key: entry()}, "libero_object")[::2] == (key, "the only one")


@pytest.mark.parametrize("keys", [["libero_goal"], ["libero_10_no_noops"], ["libero_90"], ["kitchen", "garage"]])
def test_statistics_of_something_else_are_never_taken_silently(keys):
    with pytest.raises(CheckpointError) as caught:
        choose_statistics({key: entry() for key in keys}, "libero_spatial")
    assert all(key in caught.value.message for key in keys) and "--unnorm-key KEY" in caught.value.fix


def test_statistics_asked_for_that_are_not_there():
    with pytest.raises(UsageError, match='"libero_gaol".*Did you mean "libero_goal".*libero_goal, kitchen') as caught:
        choose_statistics({"libero_goal": entry(), "kitchen": entry()}, "libero_goal", "libero_gaol")
    assert "--unnorm-key KEY" in caught.value.fix
    for empty in ({}, None):
        with pytest.raises(CheckpointError, match="no normalisation statistics"):
            choose_statistics(empty, "libero_goal")


def test_actions_by_hand(statistics):
    answer = np.array([-1.0, 0.0, 1.0, 1.5, -3.0, 0.5, 0.9])
    assert unnormalise_actions(answer, statistics) == pytest.approx([0, 1, 2, 2.5, -2, 1.5, 0.9], abs=1e-7)  # never clipped
    wanted = np.array([0.0, 1.0, 2.0, 2.5, -2.0, 1.5, 0.9])
    assert normalise_actions(wanted, statistics) == pytest.approx([-1, 0, 1, 1, -1, 0.5, 0.9], abs=1e-7)  # clipped


def test_there_and_back(statistics):
    inside = np.random.default_rng(0).uniform(0, 1, (5, 8, 7)) * statistics.action_high
    assert unnormalise_actions(normalise_actions(inside, statistics), statistics) == pytest.approx(inside, abs=1e-12)


def test_a_dimension_that_never_moves(statistics):
    still = replace(statistics, action_low=np.full(7, 0.25), action_high=np.full(7, 0.25))
    assert normalise_actions(np.full(7, 0.25), still).tolist() == [0.0] * 6 + [0.25]
    assert unnormalise_actions(np.zeros(7), still)[:6] == pytest.approx(np.full(6, 0.25), abs=1e-7)


def test_proprio_by_hand(statistics):
    state = np.array([-1.0, 3.0, 1.0, 0.0, -5.0, 9.0, 2.0, 1.5])
    assert normalise_proprio(state, statistics) == pytest.approx([-1, 1, 0, -0.5, -1, 1, 0.5, 0.25], abs=1e-7)


def test_gripper():
    grips = np.array([0.0, 0.2, 0.5, 0.51, 1.0, 1.7, -0.3])
    actions = np.concatenate([np.full((7, 6), 0.3), grips[:, None]], axis=1)
    turned = env_actions(actions)
    assert turned[:, 6].tolist() == [1, 1, 0, -1, -1, -1, 1]
    assert np.array_equal(turned[:, :6], actions[:, :6]) and actions[2, 6] == 0.5  # the answer given is not changed
    demonstrated = np.array([[0.1] * 6 + [1.0], [0.1] * 6 + [-1.0]])
    assert dataset_actions(demonstrated)[:, 6].tolist() == [0, 1]
    assert np.array_equal(env_actions(dataset_actions(demonstrated)), demonstrated)


def test_axis_angle_by_hand():
    half = math.sqrt(0.5)
    assert axis_angle([half, 0, 0, half]) == pytest.approx([math.pi / 2, 0, 0])
    assert axis_angle([0, 1, 0, 0]) == pytest.approx([0, math.pi, 0])
    assert axis_angle([0, 0, -half, -half]) == pytest.approx([0, 0, -1.5 * math.pi])  # not wrapped
    for identity in ([0, 0, 0, 1.0], [0, 0, 0, -1.0], [0, 0, 0, 1.0000001]):
        assert axis_angle(identity).tolist() == [0, 0, 0]
    assert axis_angle([[0, 0, 0, 1], [0, 1, 0, 0]]).shape == (2, 3)
    assert axis_angle([math.sin(5e-4), 0, 0, math.cos(5e-4)]) == pytest.approx([1e-3, 0, 0], abs=1e-9)  # small is not zero


def test_axis_angle_equals_robosuite():
    from robosuite.utils.transform_utils import quat2axisangle

    quats = np.random.default_rng(1).normal(size=(50, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    assert axis_angle(quats) == pytest.approx(np.array([quat2axisangle(q.copy()) for q in quats]), abs=1e-12)


def test_state():
    state = proprio_state(np.array([0.1, 0.2, 0.3], np.float32), np.array([0, 1.0, 0, 0]), np.array([0.04, -0.04]))
    assert state.dtype == np.float64 and state == pytest.approx([0.1, 0.2, 0.3, 0, math.pi, 0, 0.04, -0.04])


def test_numbers_that_are_none(statistics):
    for function in (unnormalise_actions, normalise_actions):
        with pytest.raises(ModelError, match="an action has 7 numbers"):
            function(np.zeros((8, 6)), statistics)
    for step in ([math.nan] * 7, [[0.0] * 7, [math.inf] * 7]):
        with pytest.raises(ModelError, match="not finite"):
            env_actions(step)
    with pytest.raises(ModelError, match="a state has 8 numbers"):
        proprio_state(np.zeros(3), np.array([0, 0, 0, 1.0]), np.zeros(1))
    with pytest.raises(ModelError, match="a quaternion has 4"):
        axis_angle(np.zeros(3))


def test_action_tokens_by_hand():
    assert encode([-1, 1, 0, -7, 7]).tolist() == [31999, 31744, 31872, 31999, 31744]
    assert decode([31999, 31872, 31744]) == pytest.approx([-1 + 1 / 255, 0, 1 - 1 / 255])
    assert decode([31745]) == decode([31744])  # 1.0 shares the last gap
    assert decode([2, 31743, 32000, 32063]).tolist() == decode([31744, 31744, 31999, 31999]).tolist()
    assert encode([-1.0, 0.3, 1.0], actions_end=300, bins=4).tolist() == [299, 298, 296]
    assert decode([299, 298, 297, 296], actions_end=300, bins=4) == pytest.approx([-2 / 3, 0, 2 / 3, 2 / 3])


def test_action_tokens_there_and_back():
    actions = np.random.default_rng(2).uniform(-1, 1, (4, 8, 7))
    again = decode(encode(actions))
    assert again.shape == actions.shape and np.abs(again - actions).max() <= 1 / 255 + 1e-12
    assert np.array_equal(encode(again), encode(actions))
    with pytest.raises(ModelError, match="not finite"):
        encode([0.0, math.nan])


def test_these_modules_need_no_torch():
    names = ["model.images", "model.normalisation", "model.action_tokens", "demonstrations.noops"]
    code = f"import sys, {', '.join('vla_bench.' + name for name in names)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
