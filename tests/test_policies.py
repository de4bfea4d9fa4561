import numpy as np
import pytest

from vla_bench.errors import RecordError, UsageError
from vla_bench.policies.base import ACTION_DIM
from vla_bench.policies.registry import make_policy
from vla_bench.records import EpisodeKey, write_actions
from vla_bench.world.observation import Facts, Observation, Scene, Sight

KEY = EpisodeKey("object", 0, 0)


def look(key=KEY, step=0):
    scene = Scene(Facts((), (), {}, {}, {}), {}, {}, {})
    return Observation(key, step, "do it", np.zeros(3), np.array([0.0, 0, 0, 1]), np.zeros(2), scene)


def test_noop_holds_still_with_an_open_gripper():
    (chunk,) = make_policy("noop").act([look()])
    assert np.array_equal(np.unique(chunk.actions, axis=0), [[0, 0, 0, 0, 0, 0, -1]]) and chunk.kept_tokens is None


def test_random_depends_on_seed_and_episode_only():
    def actions(seed, keys):
        policy = make_policy("random", seed)
        for key in keys:
            policy.reset(key)
        return [chunk.actions for chunk in policy.act([look(key) for key in keys])]

    other = EpisodeKey("object", 0, 1)
    a, b = actions(0, [KEY, other])
    assert np.array_equal(a, actions(0, [other, KEY])[1]) and not np.array_equal(a, b)
    assert not np.array_equal(a, actions(1, [KEY])[0])
    assert a.shape == (8, ACTION_DIM) and np.abs(a).max() <= 1


def test_replay_goes_on_from_the_step_it_is_asked_at(tmp_path):
    recorded = np.random.default_rng(0).uniform(-1, 1, (20, 7))
    write_actions(tmp_path, KEY, recorded)
    policy = make_policy(f"replay:{tmp_path}")
    policy.reset(KEY)
    assert np.array_equal(policy.act([look(step=0)])[0].actions, recorded)
    assert np.array_equal(policy.act([look(step=12)])[0].actions, recorded[12:])
    assert np.array_equal(policy.act([look(step=20)])[0].actions, [[0, 0, 0, 0, 0, 0, -1]])


def test_replay_of_what_was_not_recorded(tmp_path):
    with pytest.raises(RecordError, match="holds no recorded actions"):
        make_policy(f"replay:{tmp_path}")
    write_actions(tmp_path, KEY, np.zeros((1, 7)))
    with pytest.raises(RecordError, match="object-t1-i00"):
        make_policy(f"replay:{tmp_path}").reset(EpisodeKey("object", 1, 0))


def test_unknown_model_names_the_nearest():
    with pytest.raises(UsageError, match='Did you mean "expert"'):
        make_policy("exprt")


@pytest.mark.parametrize("model", ["expert", "noop", "random"])
def test_no_policy_of_this_list_needs_pictures(model):
    assert make_policy(model).sight is Sight.STATE
