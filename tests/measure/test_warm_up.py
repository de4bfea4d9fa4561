"""The warm-up: what it asks before the clock starts, and that nothing is met for the first time afterwards."""

from __future__ import annotations

import time

import vla_bench.model.fast as fast
from vla_bench.interface.presets import NANO
from vla_bench.measure.devices import Host
from vla_bench.measure.ready import make_ready
from vla_bench.measure.replay import cycle_of, replay
from vla_bench.measure.timing import TimedVariant, interleave, warm_up
from vla_bench.measure.variants import parse_variant
from vla_bench.model.buckets import RECENT
from vla_bench.suites import suite_names

from .. import nanos


def noting(queries: list, pause=lambda query: None) -> TimedVariant:
    return TimedVariant("x", queries.append, lambda prepared: pause(queries), lambda answer, query: None)


def test_every_query_of_the_cycle_is_asked_and_twenty_more_whatever_the_time():
    queries: list[int] = []
    warm = warm_up([noting(queries)], range(30), Host(), seconds=0.0)
    assert queries == [*range(30), *range(20), *range(30 - RECENT, 30)]
    assert (warm.queries, warm.cold) == (len(queries), 30)


def test_compiling_does_not_use_up_the_time_of_the_rest():
    """A first query of 0.2 s, where nothing may last longer than 20 times 0.005 s."""
    queries: list[int] = []
    slow = noting(queries, lambda before: time.sleep(0.2 if len(before) == 1 else 0.0))
    warm = warm_up([slow], range(3), Host(), seconds=0.005)
    assert warm.queries >= 3 + 20 and warm.cold == 3
    assert 0.2 <= warm.cold_seconds["x"] < 0.4


def test_warming_up_takes_its_time():
    queries: list[int] = []
    began = time.perf_counter()
    warm_up([noting(queries, lambda before: time.sleep(0.004))], range(3), Host(), seconds=0.2)
    assert time.perf_counter() - began >= 0.2


def test_queries_begin_again_where_the_recorded_ones_end():
    bundled = 96
    assert len(cycle_of(replay(NANO, 2 * bundled + 8, "fixed:20", 0, words=True))) == bundled
    assert len(cycle_of(replay(NANO, 10, "own", 0, words=True))) == 10
    drawn = replay(NANO, 2 * bundled, "paper", 0, words=False)
    assert len(cycle_of(drawn)) == len(drawn)  # as many tokens as another time only by chance


def test_what_is_timed_meets_no_new_length_and_no_new_bucket(monkeypatch):
    """Each would be compiled and captured inside the timed pass."""
    seen = set()
    monkeypatch.setattr(fast, "at_once", lambda key, function, *inputs: (seen.add(key), function(*inputs))[1])
    speed = "cameras,rows,buckets"
    variants = [parse_variant(text, "nano", speed) for text in ("lightvla", "dense")]
    with nanos.one_thread():
        runners = make_ready(variants, suite_names(), Host(), seed=0, forced=True)
        queries = replay(NANO, 96, "paper", 5, words=False)[::6]  # four suites, hence four lengths
        timed = [runner.timed() for runner in runners]
        warm_up(timed, cycle_of(queries), Host(), seconds=0.0)
        before = set(seen)
        interleave(timed, queries, Host())
    assert seen == before and len(before) > 4
