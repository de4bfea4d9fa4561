import pytest

from vla_bench.errors import UsageError
from vla_bench.records import EpisodeKey
from vla_bench.rollout.selection import numbers, select
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
