"""The order of a run that may be stopped early, and the verdict along it."""

import random
from types import SimpleNamespace

import pytest

from vla_bench.errors import UsageError
from vla_bench.records import EpisodeKey, Status
from vla_bench.results.early_stop import EarlyStop, EarlyVerdict, shuffled
from vla_bench.results.gate_status import GateStatus

KEYS = [EpisodeKey(suite, task, i) for suite in ("object", "goal") for task in range(5) for i in range(6)]
ENDS = {"s": Status.SUCCESS, "f": Status.FAILURE, "e": Status.ERROR}


def early(base, keys=KEYS, must_see=0.2, **more):
    return EarlyStop.of(keys, base, path="base", alpha=0.05, must_see=must_see, **more)


def done(letters):
    return {key: SimpleNamespace(status=ENDS[letter]) for key, letter in letters.items()}


def test_every_round_has_each_task_once_and_the_order_is_drawn():
    order = shuffled(KEYS, 0)
    assert sorted(order) == sorted(KEYS)
    rounds = [order[start : start + 10] for start in range(0, 60, 10)]
    assert all(len({key[:2] for key in each}) == 10 for each in rounds)
    assert len({tuple(key[:2] for key in each) for each in rounds}) == 6  # the tasks of each in an order of their own
    assert [key.init_state for key in order if key[:2] == ("object", 0)] != [0, 1, 2, 3, 4, 5]
    assert shuffled(KEYS[::-1], 0) == order != shuffled(KEYS, 1)


def test_the_order_is_the_same_everywhere():
    """A resumed run must find the order in which it began, on any machine and in any version."""
    assert [str(key) for key in shuffled(KEYS, 0)[:4]] == ["goal-t1-i00", "goal-t3-i03", "object-t3-i02", "object-t0-i04"]


def test_unequal_tasks_come_while_they_last():
    keys = [EpisodeKey("object", 0, 0), *(EpisodeKey("object", 1, i) for i in range(3))]
    assert [{key.task_id for key in some} for some in (shuffled(keys, 0)[:2], shuffled(keys, 0)[2:])] == [{0, 1}, {1}]


def test_an_episode_counts_once_all_before_it_have_ended():
    """Failures run to the horizon and end late: what has ended first must not decide."""
    stop = early(dict.fromkeys(KEYS, True))
    losses = dict.fromkeys(stop.order[1:20], "f")
    assert stop.look(done(losses)) == EarlyVerdict(GateStatus.INCONCLUSIVE, 0, 0, 0, 0, 1.0, 1.0)
    assert stop.look(done(losses | {stop.order[0]: "s"})).finding is GateStatus.DROPPED


def test_the_first_pair_that_decides_is_the_last_that_counts():
    stop = early(dict.fromkeys(KEYS, True))
    letters = dict.fromkeys(KEYS, "s") | dict.fromkeys(stop.order[:7], "f")
    verdict = stop.look(done(letters))
    assert (verdict.finding, verdict.pairs, verdict.lost) == (GateStatus.DROPPED, 7, 7) and verdict.exit_code == 1
    assert verdict.e_drop == pytest.approx(31.875)
    assert EarlyVerdict.from_dict(verdict.to_dict()) == verdict


def test_a_pass_excludes_the_drop_and_nothing_else_does():
    same = dict.fromkeys(KEYS, True)
    verdict = early(same).look(done(dict.fromkeys(KEYS, "s")))
    assert verdict.finding is GateStatus.PASSED and verdict.exit_code == 0 and verdict.pairs == early(same).fewest_pairs == 20
    short = early(same, must_see=0.05)
    assert short.look(done(dict.fromkeys(KEYS, "s"))).exit_code == 3
    assert "takes 88 pairs at the least, and with 60 it cannot pass" in short.outlook


def test_errors_on_either_side_are_no_pairs():
    base = {key: True for key in KEYS[1:]}
    stop = early(base)
    letters = dict.fromkeys(KEYS, "s") | {KEYS[1]: "e"}
    assert stop.pairs == 59
    for end in range(61):
        verdict = stop.look(done({key: letters[key] for key in stop.order[:end]}))
    assert verdict.finding is GateStatus.PASSED and verdict.pairs == 20 and verdict.errors <= 2


def test_the_verdict_does_not_depend_on_when_one_looks():
    draw = random.Random(0)
    for _ in range(20):
        base, new = ({key: draw.random() < p for key in KEYS} for p in (0.9, 0.6))
        letters = {key: "s" if won else "f" for key, won in new.items()}
        whole = early(base).look(done(letters))
        stop, ended = early(base), []
        for key in draw.sample(KEYS, len(KEYS)):
            ended.append(key)
            verdict = stop.look(done({key: letters[key] for key in ended}))
        assert verdict == whole


def test_rules_that_decide_nothing():
    for wrong in ({"alpha": 0.0}, {"alpha": 0.6}, {"must_see": 0.0}):
        with pytest.raises(UsageError):
            EarlyStop.of(KEYS, {}, **{"path": "base", "alpha": 0.05, "must_see": 0.05} | wrong)
