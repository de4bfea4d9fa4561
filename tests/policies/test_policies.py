import dataclasses
import sys
import types

import numpy as np
import pytest

from vla_bench.errors import RecordError, UsageError
from vla_bench.policies.base import ACTION_DIM, Chunk, Policy, PolicyFacts
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import make_policy, resolve_choice
from vla_bench.policies.resolve import ModelKind
from vla_bench.records import EpisodeKey, write_actions
from vla_bench.world.observation import Observation, Scene, SceneConstants, Sight

KEY = EpisodeKey("object", 0, 0)


def observation(key=KEY, step=0):
    scene = Scene(SceneConstants((), (), {}, {}, {}), {}, {}, {})
    return Observation(key, step, "do it", np.zeros(3), np.array([0.0, 0, 0, 1]), np.zeros(2), scene)


def test_noop_holds_still_with_an_open_gripper():
    (chunk,) = make_policy("noop").act([observation()])
    assert np.array_equal(np.unique(chunk.actions, axis=0), [[0, 0, 0, 0, 0, 0, -1]]) and chunk.kept_tokens is None


def test_random_depends_on_seed_and_episode_only():
    def actions(seed, keys):
        policy = make_policy("random", seed)
        for key in keys:
            policy.reset(key)
        return [chunk.actions for chunk in policy.act([observation(key) for key in keys])]

    other = EpisodeKey("object", 0, 1)
    a, b = actions(0, [KEY, other])
    assert np.array_equal(a, actions(0, [other, KEY])[1]) and not np.array_equal(a, b)
    assert not np.array_equal(a, actions(1, [KEY])[0])
    assert a.shape == (8, ACTION_DIM) and np.abs(a).max() <= 1


def test_replay_continues_from_the_step_of_the_query(tmp_path):
    recorded = np.random.default_rng(0).uniform(-1, 1, (20, 7))
    write_actions(tmp_path, KEY, recorded)
    policy = make_policy(f"replay:{tmp_path}")
    policy.reset(KEY)
    assert np.array_equal(policy.act([observation(step=0)])[0].actions, recorded)
    assert np.array_equal(policy.act([observation(step=12)])[0].actions, recorded[12:])
    assert np.array_equal(policy.act([observation(step=20)])[0].actions, [[0, 0, 0, 0, 0, 0, -1]])


def test_replay_of_what_was_not_recorded(tmp_path):
    with pytest.raises(RecordError, match="holds no recorded actions"):
        make_policy(f"replay:{tmp_path}")
    write_actions(tmp_path, KEY, np.zeros((1, 7)))
    with pytest.raises(RecordError, match="object-t1-i00"):
        make_policy(f"replay:{tmp_path}").reset(EpisodeKey("object", 1, 0))


@pytest.mark.parametrize(
    ("given", "meant"), [("exprt", "expert"), ("light-vla", "lightvla"), ("openvla_oft", "openvla-oft"), ("nanno", "nano")]
)
def test_unknown_model_names_the_nearest(given, meant):
    with pytest.raises(UsageError, match=f'unknown model "{given}".*Did you mean "{meant}"'):
        make_policy(given)


@pytest.mark.parametrize("model", ["/no/such/checkpoint", "./checkpoint", "../a/b", "runs/7/checkpoint", "a/"])
def test_a_folder_that_is_not_there_is_no_hub_id(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no folder"):
        resolve_choice(ModelChoice(model))


def test_checkpoints_are_loaded_with_every_given_option(tmp_path, monkeypatch):
    """Folders, hub ids and the three names go to `policies.checkpoints`; a stand-in for it takes them."""
    seen = []
    module = types.ModuleType("vla_bench.policies.checkpoints")
    module.make_vla_policy = lambda choice, model: seen.append((choice, model.name, model.kind)) or "policy"
    monkeypatch.setitem(sys.modules, "vla_bench.policies.checkpoints", module)
    options = {"pruner": "fastv", "pruner_args": "layer=3", "decoding": "ar", "unnorm_key": "key"}
    options |= {"suites": ("goal",), "action_slice": "aligned", "device": "cuda"}
    choices = [ModelChoice(m, **options) for m in ("nano", "lightvla", "openvla-oft")]
    choices += [ModelChoice(str(tmp_path)), ModelChoice("TTJiang/LightVLA-libero-10", suites=("long",))]
    assert [make_policy(choice) for choice in choices] == ["policy"] * 5
    assert seen == [(choice, choice.model, ModelKind.CHECKPOINT) for choice in choices]
    with pytest.raises(UsageError, match="--seed 4 would change nothing"):
        make_policy("openvla-oft", 4)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"pruner": "lightvla"}, "noop has no image tokens to prune"),
        ({"decoding": "ar"}, "noop has no action tokens to decode"),
        ({"unnorm_key": "x"}, "noop has no action statistics"),
        ({"action_slice": "aligned"}, "noop has no action head"),
        ({"device": "cuda"}, "noop has no use for a GPU"),
    ],
)
def test_scripts_refuse_the_options_of_models(option, message):
    with pytest.raises(UsageError, match=message) as caught:
        make_policy(ModelChoice("noop", **option))
    assert next(iter(option)).replace("_", "-") in caught.value.fix
    assert make_policy(ModelChoice("noop", device="cpu")).name == "noop"


@pytest.mark.parametrize("option", [{"decoding": "beam"}, {"device": "tpu"}, {"action_slice": "left"}])
def test_values_outside_a_closed_set_are_refused_with_the_set(option):
    with pytest.raises(UsageError, match="takes .*, not"):
        ModelChoice("nano", **option)


def test_kept_tokens_of_all_cameras():
    assert Chunk(np.zeros((1, 7)), (30, 9)).kept_total == 39 and Chunk(np.zeros((1, 7))).kept_total is None


@pytest.mark.parametrize("model", ["expert", "noop", "random"])
def test_scripts_need_no_images(model):
    assert make_policy(model).sight is Sight.STATE


def test_the_facts_of_a_policy_elsewhere_are_all_that_a_plan_may_ask_of_one():
    assert Policy.__annotations__.keys() - {"takes"} == {field.name for field in dataclasses.fields(PolicyFacts)}
