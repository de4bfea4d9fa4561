"""Timing of queries: warm up until the times are steady, then every variant in turn on every query.

Two times: wall time, from the observation to the actions on the host, and device time, from the inputs' leaving the host
until the actions are back.  Their difference is the preparation of images and the scaling of actions.  Device time is not
busy time: it includes the gaps in which the host prepares the next launch.  Only the actions on the host are waited for;
work that is still running then is missing from the time, which is an error.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

from vla_bench.errors import MeasureError
from vla_bench.measure.devices import TimedDevice
from vla_bench.model.buckets import RECENT

F = TypeVar("F")

LEAST_WARM_QUERIES = 20
LEAST_WARM_SECONDS = 3.0
MOST_TIMES_AS_LONG = 20  # as LEAST_WARM_SECONDS at most; unsteady times are measured all the same, and their spread shows it
STEADY = 0.05  # the medians of two halves of the last queries differ by no more: steady
STILL_RUNNING = 0.05  # share of the wall time that the device may work on after the actions are back
SYNCHRONISING = 0.05  # ms of a synchronisation when nothing runs


@dataclass
class RawTimes:
    """Raw times of one variant in milliseconds, one entry a query in their order.

    wall: observation -> actions on the host.
    device: inputs leave the host -> actions are back, by the device's clock, gaps between launches included.
    drain: device work after the actions are back.
    """

    wall: list[float] = field(default_factory=list)
    device: list[float] = field(default_factory=list)
    drain: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class TimedVariant(Generic[F]):
    """A timed variant in three parts: prepare(query) on the host, run(prepared) on the device -> actions on the host,
    finish(actions, query) on the host."""

    name: str
    prepare: Callable[[F], object]
    run: Callable[[object], object]
    finish: Callable[[object, F], object]


@dataclass(frozen=True)
class WarmUp:
    """Result of the warm-up.

    queries: of every variant, `cold` of them first runs.
    cold_seconds: time of the first runs, by variant, with compiling, capturing graphs and choosing kernels.  Work that
        variants share is in the time of the first.
    """

    queries: int
    cold: int
    cold_seconds: dict[str, float]


def warm_up(
    variants: Sequence[TimedVariant[F]], cycle: Sequence[F], device: TimedDevice, seconds: float = LEAST_WARM_SECONDS
) -> WarmUp:
    """Run every query of the cycle once, then at least 20 more and `seconds`, until every variant's times are steady.

    It ends after 20 times `seconds` at the latest, but never before those 20 queries: every length and every bucket compiles
    or captures something of its own.
    """
    cold = {variant.name: 0.0 for variant in variants}
    for query in cycle:
        for name, ms in _round(variants, query, device).items():
            cold[name] += ms / 1000
    times: dict[str, list[float]] = {variant.name: [] for variant in variants}
    began = time.perf_counter()
    done = 0
    while True:
        for name, ms in _round(variants, cycle[done % len(cycle)], device).items():
            times[name].append(ms)
        done += 1
        if done < LEAST_WARM_QUERIES:
            continue
        passed = time.perf_counter() - began
        if passed > MOST_TIMES_AS_LONG * seconds or (passed >= seconds and all(map(_steady, times.values()))):
            break
    # A bucket follows from the queries before: the first timed queries must use buckets that are compiled already.
    last = cycle[-RECENT:]
    for query in last:
        _round(variants, query, device)
    return WarmUp(len(cycle) + done + len(last), len(cycle), cold)


def _round(variants: Sequence[TimedVariant[F]], query: F, device: TimedDevice) -> dict[str, float]:
    """Milliseconds of every variant on one query."""
    wall = {}
    for variant in variants:
        one = RawTimes()
        time_query(variant, query, device, one)
        wall[variant.name] = one.wall[0]
    return wall


def interleave(
    variants: Sequence[TimedVariant[F]],
    queries: Sequence[F],
    device: TimedDevice,
    on_query: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, RawTimes]:
    """Time every variant on every query, in a random order for each, so that a drift of speed affects all alike.

    Raises MeasureError where a variant returns actions before the device is done.
    """
    order, times = list(variants), {variant.name: RawTimes() for variant in variants}
    dice = random.Random(0)
    for number, query in enumerate(queries):
        dice.shuffle(order)
        for variant in order:
            time_query(variant, query, device, times[variant.name])
        on_query(number + 1, len(queries))
    for name, raw in times.items():
        check_done(name, raw)
    return times


def time_query(variant: TimedVariant[F], query: F, device: TimedDevice, times: RawTimes) -> None:
    """Time one query and append to `times`."""
    device.synchronise()
    began = time.perf_counter()
    prepared = variant.prepare(query)
    left = device.stamp()
    actions = variant.run(prepared)
    back = device.stamp()
    variant.finish(actions, query)
    done = time.perf_counter()
    device.synchronise()
    times.wall.append(1000 * (done - began))
    times.drain.append(1000 * (time.perf_counter() - done))
    times.device.append(device.between(left, back))


def _steady(times: list[float]) -> bool:
    last = times[-LEAST_WARM_QUERIES:]
    before, after = np.median(last[: len(last) // 2]), np.median(last[len(last) // 2 :])
    return abs(after - before) <= STEADY * before


def check_done(name: str, times: RawTimes) -> None:
    """Raises MeasureError where the device worked on after the actions were back."""
    late, total = sum(times.drain), sum(times.wall)
    if late > STILL_RUNNING * total + SYNCHRONISING * len(times.drain):
        raise MeasureError(
            f"{name} returns actions before the device is done: it was busy for another {100 * late / total:.0f} % of the time "
            "after them. A copy to the host without a synchronisation is missing from the time",
            "vla-bench latency --speed none",
        )
