"""Timing what answers queries: warm up until the times stand, then every variant in turn on every query.

Two clocks: the wall's, from the observation to the actions on the host, and the device's own, from when the inputs leave
the host until the answer is back.  The second says what pictures and scaling cost beside the model, and not how busy the
device was: while the host prepares its next launch, that clock runs on.  The answer on the host is the only thing waited
for; what is still running then was never part of the answer's time, and is an error.
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
MOST_TIMES_AS_LONG = 20  # as that; times that never stand still are timed all the same, and show it in their spread
STEADY = 0.05  # two halves of the last queries whose medians differ by less stand still
STILL_RUNNING = 0.05  # share of the answers' time that the device may work on after them
ASKING = 0.05  # ms that it may take to hear that nothing runs any more


@dataclass
class RawTimes:
    """Raw times of one variant in milliseconds, one entry a query in the order asked.

    wall: observation in -> actions on the host.
    device: inputs leave the host -> answer back on it, by the device's clock, which runs on between launches.
    drain: what the device still did after the answer.
    """

    wall: list[float] = field(default_factory=list)
    device: list[float] = field(default_factory=list)
    drain: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class TimedVariant(Generic[F]):
    """What is timed, in three parts: prepare(query) on the host, run(prepared) on the device -> answer on the host,
    finish(answer, query) on the host."""

    name: str
    prepare: Callable[[F], object]
    run: Callable[[object], object]
    finish: Callable[[object, F], object]


@dataclass(frozen=True)
class WarmUp:
    """How the warm-up went.

    queries: asked of every variant, `cold` of them for the first time.
    cold_seconds: what these took, by variant: compiling, capturing graphs and choosing kernels are in it.  What variants
        share is in the time of the first.
    """

    queries: int
    cold: int
    cold_seconds: dict[str, float]


def warm_up(
    variants: Sequence[TimedVariant[F]], cycle: Sequence[F], device: TimedDevice, seconds: float = LEAST_WARM_SECONDS
) -> WarmUp:
    """Ask every query of the cycle once, then go on until 20 more and `seconds` have passed and every variant's times stand.

    Times that do not stand end it after 20 times `seconds`, but nothing ends it before those 20 queries: every length and
    every bucket compiles or captures something of its own.
    """
    cold = {variant.name: 0.0 for variant in variants}
    for query in cycle:
        for name, ms in _round(variants, query, device).items():
            cold[name] += ms / 1000
    seen: dict[str, list[float]] = {variant.name: [] for variant in variants}
    began = time.perf_counter()
    asked = 0
    while True:
        for name, ms in _round(variants, cycle[asked % len(cycle)], device).items():
            seen[name].append(ms)
        asked += 1
        if asked < LEAST_WARM_QUERIES:
            continue
        passed = time.perf_counter() - began
        if passed > MOST_TIMES_AS_LONG * seconds or (passed >= seconds and all(map(_steady, seen.values()))):
            break
    # A bucket follows from the queries before: what is timed first has to find those that it found in the rounds above.
    last = cycle[-RECENT:]
    for query in last:
        _round(variants, query, device)
    return WarmUp(len(cycle) + asked + len(last), len(cycle), cold)


def _round(variants: Sequence[TimedVariant[F]], query: F, device: TimedDevice) -> dict[str, float]:
    """Milliseconds of every variant on one query."""
    found = {}
    for variant in variants:
        one = RawTimes()
        ask(variant, query, device, one)
        found[variant.name] = one.wall[0]
    return found


def interleave(
    variants: Sequence[TimedVariant[F]],
    queries: Sequence[F],
    device: TimedDevice,
    on_query: Callable[[int, int], None] = lambda *_: None,
) -> dict[str, RawTimes]:
    """Every variant on every query, in an order drawn anew for each, so that what drifts drifts for all.

    Raises MeasureError where a variant answers before its work is done.
    """
    order, found = list(variants), {variant.name: RawTimes() for variant in variants}
    dice = random.Random(0)
    for number, query in enumerate(queries):
        dice.shuffle(order)
        for variant in order:
            ask(variant, query, device, found[variant.name])
        on_query(number + 1, len(queries))
    for name, samples in found.items():
        check_done(name, samples)
    return found


def ask(variant: TimedVariant[F], query: F, device: TimedDevice, samples: RawTimes) -> None:
    """One query, timed."""
    device.synchronise()
    began = time.perf_counter()
    prepared = variant.prepare(query)
    left = device.stamp()
    answer = variant.run(prepared)
    back = device.stamp()
    variant.finish(answer, query)
    done = time.perf_counter()
    device.synchronise()
    samples.wall.append(1000 * (done - began))
    samples.drain.append(1000 * (time.perf_counter() - done))
    samples.device.append(device.between(left, back))


def _steady(times: list[float]) -> bool:
    last = times[-LEAST_WARM_QUERIES:]
    before, after = np.median(last[: len(last) // 2]), np.median(last[len(last) // 2 :])
    return abs(after - before) <= STEADY * before


def check_done(name: str, samples: RawTimes) -> None:
    """Raises MeasureError where the device worked on after the answers."""
    late, total = sum(samples.drain), sum(samples.wall)
    if late > STILL_RUNNING * total + ASKING * len(samples.drain):
        raise MeasureError(
            f"{name} answers before its work is done: the device was busy for {100 * late / total:.0f} % of the time again "
            "after the answers. A copy to the host without a wait is missing from the time",
            "vla-bench latency --speed none",
        )
