"""The planned episodes of a run, in short and back."""

import itertools
import random

import pytest

from vla_bench.planned import pack, unpack


def test_tasks_and_ranges_in_short():
    keys = [("object", 3, i, 0) for i in (0, 1, 2, 7, 9, 10)] + [("long", 0, 4, 0)]
    assert pack(keys) == {"object/3": "0-2,7,9-10", "long/0": "4"}


def test_repeats_are_told_apart():
    keys = [("object", 0, i, 0) for i in range(50)] + [("object", 0, i, 1) for i in range(2)] + [("object", 0, 0, 2)]
    assert pack(keys) == {"object/0": "0-49,0-1r1,0r2"}
    assert unpack(pack(keys)) == keys


def test_what_is_packed_comes_back():
    every = list(itertools.product(("goal", "a/b"), range(3), range(8), range(3)))
    draw = random.Random(0)
    for count in (0, 1, 5, 40, len(every)):
        keys = draw.sample(every, count)
        assert sorted(unpack(pack(keys))) == sorted(keys)
        assert pack(keys + keys) == pack(keys)


@pytest.mark.parametrize(
    "table", [{"object": "0-4"}, {"object/x": "0"}, {"object/0": ""}, {"object/0": "0-"}, {"object/0": [0, 1]}]
)
def test_what_is_no_plan(table):
    with pytest.raises(ValueError, match="planned"):
        unpack(table)
