"""The side from which an object is grasped where several are possible: one side for each task.

The cheapest point of a rim, or rotation of the hand about a bottle, changes with every centimetre of the start.  A policy
trained with L1 predicts the mean of the demonstrated grasps, where there is nothing to hold; so each task demonstrates one:
the side from which scripts/lab/grasp_sides.py needs one grasp and a constant, small number of steps from every start.
"""

from __future__ import annotations

from vla_bench.records import EpisodeKey

BOWL, BOTTLE = "akita_black_bowl_1", "wine_bottle_1"

SIDES: dict[tuple[str, int, str], float] = {  # degrees about the vertical, from the world's x axis
    ("spatial", 0, BOWL): 270.0,
    ("spatial", 1, BOWL): 90.0,
    ("spatial", 2, BOWL): 240.0,
    ("spatial", 3, BOWL): 210.0,
    ("spatial", 4, BOWL): 150.0,
    ("spatial", 5, BOWL): 270.0,
    ("spatial", 6, BOWL): 90.0,
    ("spatial", 7, BOWL): 270.0,
    ("spatial", 8, BOWL): 240.0,
    ("spatial", 9, BOWL): 90.0,
    ("goal", 1, BOWL): 90.0,
    ("goal", 2, BOTTLE): 0.0,
    ("goal", 3, BOWL): 90.0,
    ("goal", 4, BOWL): 90.0,
    ("goal", 5, "plate_1"): 90.0,
    ("goal", 8, BOWL): 90.0,
    ("goal", 9, BOTTLE): 0.0,
    ("long", 3, BOWL): 150.0,
    ("long", 7, "alphabet_soup_1"): 330.0,
}


def side_for(episode: EpisodeKey, name: str) -> float | None:
    """The side (degrees) for object `name` in the task of `episode`; None for the cheapest."""
    return SIDES.get((episode.suite, episode.task_id, name))
