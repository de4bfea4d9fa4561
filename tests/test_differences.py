"""Intervals of differences that are no pairs, against published values, and their p against the normal distribution."""

import random
from statistics import NormalDist

import pytest

from vla_bench.differences import difference_of_differences, independent_difference, p_of_intervals
from vla_bench.stats import Difference, paired_difference, wilson


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        ((48, 80), (56, 70), 0.0524, 0.3339),
        ((3, 10), (9, 10), 0.1705, 0.8090),
        ((2, 7), (6, 7), 0.0582, 0.8062),
        ((0, 29), (5, 56), -0.0381, 0.1926),
    ],
)
def test_independent_rates_have_newcombe_s_interval(first, second, low, high):
    """Examples of his Table II, method 10."""
    found = independent_difference(wilson(*first), wilson(*second))
    assert found.value == pytest.approx(second[0] / second[1] - first[0] / first[1])
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_a_rate_without_units_has_no_difference():
    with pytest.raises(ValueError, match="without units"):
        independent_difference(wilson(0, 0), wilson(1, 2))


def test_limits_of_two_differences_are_joined():
    found = difference_of_differences(Difference(-0.02, -0.05, 0.01), Difference(-0.20, -0.24, -0.16))
    assert found.value == pytest.approx(-0.18) and (found.low, found.high) == (pytest.approx(-0.23), pytest.approx(-0.13))


@pytest.mark.parametrize("value", [0.0, 0.01, -0.1, 0.25])
def test_p_is_that_of_the_normal_distribution_where_the_interval_is(value):
    def interval(alpha):
        half = 0.05 * NormalDist().inv_cdf(1 - alpha / 2)
        return Difference(value, value - half, value + half)

    assert p_of_intervals(interval) == pytest.approx(2 * NormalDist().cdf(-abs(value) / 0.05), rel=1e-6)


def test_p_is_small_as_often_as_it_says_and_finds_what_is_there():
    """100 pairs each, on originals at 95 % and changed suites at 60 %, where the second run loses nothing more or 24 points."""
    dice = random.Random(0)

    def counts(base, loss):
        pairs = []
        for first in [dice.random() < base for _ in range(100)]:
            second = first if dice.random() < 0.5 else dice.random() < base
            pairs.append((first, second and dice.random() >= loss))
        return [sum(pair == each for pair in pairs) for each in ((True, True), (True, False), (False, True), (False, False))]

    def p(loss):
        there, here = counts(0.95, 0.0), counts(0.6, loss)

        def interval(alpha):
            z = NormalDist().inv_cdf(1 - alpha / 2)
            return difference_of_differences(paired_difference(*there, z), paired_difference(*here, z))

        return p_of_intervals(interval)

    assert sum(p(0.0) < 0.05 for _ in range(400)) <= 400 * 0.075
    assert sum(p(0.4) < 0.05 for _ in range(100)) >= 80
