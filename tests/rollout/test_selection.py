import pytest

from vla_bench.errors import UsageError
from vla_bench.records import EpisodeKey
from vla_bench.rollout.selection import numbers, select, shard, shard_numbers
from vla_bench.suites import load_suite, load_suites


def test_everything_is_two_thousand_episodes():
    assert len(set(select(load_suites(), None, None, None))) == 2000


def test_tasks_and_init_states():
    assert select([load_suite("goal")], "0,3", "7-8", None) == [EpisodeKey("goal", t, i) for t in (0, 3) for i in (7, 8)]


def test_past_the_last_init_state_a_second_round_begins():
    keys = select([load_suite("goal")], "2", None, 52)
    assert keys[49:] == [EpisodeKey("goal", 2, 49, 0), EpisodeKey("goal", 2, 0, 1), EpisodeKey("goal", 2, 1, 1)]


def test_tasks_by_name_are_found_in_their_suite():
    assert select(load_suites(), "turn on the stove, push_the_plate_to_the_front_of_the_stove", None, 1) == [
        EpisodeKey("goal", 5, 0),
        EpisodeKey("goal", 7, 0),
    ]


@pytest.mark.parametrize(("text", "expected"), [(None, [0, 1, 2, 3, 4]), ("3", [3]), ("0, 2-4 ,2", [0, 2, 3, 4])])
def test_numbers(text, expected):
    assert numbers(text, 5, "--x") == expected


@pytest.mark.parametrize("text", ["5", "3-1", "-1", "1-", "", "a", "1,,2"])
def test_invalid_numbers(text):
    with pytest.raises(UsageError, match="--x"):
        numbers(text, 5, "--x")


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_shards_have_every_episode_once_and_take_the_same_time(count):
    suites = load_suites("all")
    horizons = {suite.name: suite.horizon for suite in suites}
    keys = select(suites, None, "0-9", None)
    shards = [shard(keys, number, count, horizons) for number in range(1, count + 1)]
    assert sorted(key for own in shards for key in own) == sorted(keys)
    assert all(own == [key for key in keys if key in set(own)] for own in shards)
    loads = [sum(horizons[key.suite] for key in own) for own in shards]
    assert max(loads) - min(loads) <= max(horizons.values())
    tasks = {key[:2] for key in keys}
    assert all(len({key[:2] for key in own}) > 0.9 * len(tasks) for own in shards)  # tasks are spread over the machines


@pytest.mark.parametrize("text", ["0/4", "5/4", "2", "2/", "-1/4", "a/b", "1/0", ""])
def test_invalid_shards(text):
    with pytest.raises(UsageError, match="is not a shard such as 1/4"):
        shard_numbers(text)


def test_a_shard_without_an_episode():
    with pytest.raises(UsageError, match="shard 3/3 of 2 episodes is empty"):
        shard([EpisodeKey("object", 0, i) for i in range(2)], 3, 3, {"object": 280})
