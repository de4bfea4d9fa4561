"""From which side a thing is taken, task by task."""

from vla_bench.policies.expert.sides import SIDES, side_for
from vla_bench.records import EpisodeKey
from vla_bench.suites import load_suite
from vla_bench.world.protocol import SAMPLED


def test_sides_are_of_things_that_their_tasks_have():
    for suite, task, name in SIDES:
        goal = load_suite(suite).task(task).language
        assert {"akita_black_bowl_1": "bowl", "wine_bottle_1": "bottle", "plate_1": "plate", "alphabet_soup_1": "soup"}[
            name
        ] in goal
    assert side_for(EpisodeKey("goal", 9, SAMPLED), "wine_bottle_1") == 0.0
    assert side_for(EpisodeKey("goal", 9, SAMPLED), "wine_rack_1") is None
