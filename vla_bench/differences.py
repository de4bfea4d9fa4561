"""Differences of rates that are no pairs: of two independent rates, and of two differences.

Pure functions, numbers in, numbers out.  Both intervals are put together from the limits of their parts, whose variances they
recover (Zou and Donner, Stat. Med. 27, 2008, 1693-1702): like those of single rates they are sound near 0 and 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

from vla_bench.stats import Difference, Rate

HIGHEST_Z = 8.0  # p is never said to be below 1e-15: an interval takes 1 - p / 2, which then is hardly told from 1
STEPS = 60  # of a bisection


def independent_difference(first: Rate, second: Rate) -> Difference:
    """Second rate less first, of different units: Newcombe's score interval (Stat. Med. 17, 1998, 873-890, method 10), 95 %.

    Raises ValueError where one of them has no units.
    """
    if None in (first.rate, second.rate):
        raise ValueError("a rate without units")
    value = second.rate - first.rate
    low = value - math.hypot(second.rate - second.low, first.high - first.rate)
    return Difference(value, low, value + math.hypot(second.high - second.rate, first.rate - first.low))


def difference_of_differences(first: Difference, second: Difference) -> Difference:
    """Second difference less first, of different units; as sure as the two intervals are."""
    value = second.value - first.value
    low = value - math.hypot(second.value - second.low, first.high - first.value)
    return Difference(value, low, value + math.hypot(second.high - second.value, first.value - first.low))


def p_of_intervals(interval: Callable[[float], Difference]) -> float:
    """Two-sided p that a difference is 0: the alpha with which its interval just reaches 0.

    interval: by the alpha that it leaves outside, the narrower the larger that is.
    """
    outside, inside = 0.0, HIGHEST_Z
    for _ in range(STEPS):
        middle = (outside + inside) / 2
        found = interval(_alpha(middle))
        if found.low <= 0 <= found.high:
            inside = middle
        else:
            outside = middle
    return _alpha(inside)


def _alpha(z: float) -> float:
    return 2 * NormalDist().cdf(-z)
