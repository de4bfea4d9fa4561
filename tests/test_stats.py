import itertools
import random
from statistics import fmean

import pytest

from vla_bench.stats import (
    holm,
    mcnemar,
    mcnemar_drop,
    paired_difference,
    pairs_needed,
    share_difference,
    share_rate,
    sign_flip,
    sign_flip_drop,
    smallest_drop,
    wilson,
)


@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (10, 10, 72.2, 100),
        (50, 50, 92.9, 100),
        (96, 100, 90.2, 98.4),
        (473, 500, 92.3, 96.3),
        (1948, 2000, 96.6, 98.0),
        (0, 10, 0, 27.8),
    ],
)
def test_wilson_golden(k, n, low, high):
    """Values from Newcombe's comparison of intervals and from scipy.stats.binomtest(...).proportion_ci("wilson")."""
    rate = wilson(k, n)
    assert (round(100 * rate.low, 1), round(100 * rate.high, 1)) == (low, high)


def test_wilson_equals_scipy():
    from scipy.stats import binomtest

    for n in (1, 7, 50, 333):
        for k in {0, 1, n // 3, n - 1, n}:
            interval = binomtest(k, n).proportion_ci(method="wilson")
            assert (wilson(k, n).low, wilson(k, n).high) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_a_rate_never_travels_alone():
    assert str(wilson(96, 100)) == "96.0 % [90.2, 98.4], n=100"
    assert str(wilson(0, 0)) == "no episodes"
    with pytest.raises(ValueError):
        wilson(3, 2)


def test_mcnemar_equals_scipy():
    from scipy.stats import binomtest

    assert mcnemar(5, 0) == 0.0625 and mcnemar(0, 0) == 1.0 and mcnemar(3, 3) == 1.0
    for lost, gained in ((40, 20), (6, 1), (0, 9), (251, 249)):
        assert mcnemar(lost, gained) == pytest.approx(binomtest(lost, lost + gained).pvalue, rel=1e-9)
        assert mcnemar(lost, gained) == mcnemar(gained, lost)


def test_several_comparisons_are_paid_for():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == []


def test_a_paired_difference_has_newcombes_interval():
    """Twenty-one patients whose airways were tested twice (Bentur 2009), a negative correlation, and
    2,000 episodes that drop by a point."""
    for counts, expected in {
        (1, 1, 7, 12): (0.2857, 0.0256, 0.5069),
        (36, 12, 2, 0): (-0.2000, -0.3404, -0.0569),
        (1908, 40, 20, 32): (-0.0100, -0.0180, -0.0024),
    }.items():
        found = paired_difference(*counts)
        assert (found.value, found.low, found.high) == pytest.approx(expected, abs=6e-5), counts
    swapped, none = paired_difference(1, 7, 1, 12), paired_difference(50, 0, 0, 0)
    assert (-swapped.high, -swapped.low) == pytest.approx((0.0256, 0.5069), abs=6e-5)
    assert none.value == 0 and none.high == pytest.approx(-none.low) and 0.05 < none.high < 0.1
    with pytest.raises(ValueError):
        paired_difference(0, 0, 0, 0)


def test_how_many_pairs_see_a_drop():
    """Connor's formula for a one-sided test, 80 % power: a point among 2 and 3 % discordant pairs, two among 3, three among 4."""
    wanted = {(0.01, 0.02): 1235, (0.01, 0.03): 1853, (0.02, 0.03): 462, (0.03, 0.04): 273}
    assert {case: pairs_needed(*case) for case in wanted} == wanted
    assert pairs_needed(0.01, 0.02, alpha=0.025) == 1568
    with pytest.raises(ValueError):
        pairs_needed(0.03, 0.02)


def test_the_smallest_drop_that_pairs_can_show():
    found = smallest_drop(2000, 20)
    assert pairs_needed(found, 0.02 + found) <= 2000 < pairs_needed(0.99 * found, 0.02 + 0.99 * found)
    assert smallest_drop(5, 0) == 1.0 and mcnemar_drop(5, 0) == 1 / 32  # five losses of five, and nothing less
    assert smallest_drop(4, 0) is None and smallest_drop(10, 6) is None


def test_shares_of_nought_and_one_are_counts():
    pairs = [(1.0, 1.0)] * 36 + [(1.0, 0.0)] * 12 + [(0.0, 1.0)] * 2 + [(0.0, 0.0)] * 3
    first, second = zip(*pairs, strict=True)
    assert share_rate(first, 106) == wilson(48, 53) and share_rate([], 0) == wilson(0, 0)
    found, counted = share_difference(first, second, (106, 106)), paired_difference(36, 12, 2, 3)
    assert (found.value, found.low, found.high) == pytest.approx((counted.value, counted.low, counted.high), abs=1e-12)
    differences = [b - a for a, b in pairs]
    assert sign_flip(differences) == mcnemar(12, 2) and sign_flip_drop(differences) == mcnemar_drop(12, 2)


def test_repeats_narrow_a_rate_by_what_they_add():
    """Wilson's intervals of as many coin flips: all repeats where they alone vary, the init states where these do."""
    halves = share_rate([0.5] * 20, 40)
    assert (halves.low, halves.high) == (wilson(20, 40).low, wilson(20, 40).high) and halves.n == 20 and halves.successes == 10
    mixed, init_states = share_rate([1.0] * 10 + [0.5] + [0.0] * 9, 40), wilson(10, 20)
    assert init_states.low < mixed.low < mixed.rate < 0.55


def test_the_sign_flip_test_counts_every_pattern():
    for differences in ([-0.5, -0.5, -1.0, 0.5], [-1 / 3, 2 / 3, -1.0, 0.25, -0.75, 0.0], [0.5] * 3, [1 / 7, -1 / 10]):
        patterns = itertools.product((-1, 1), repeat=len(differences))
        sums = [sum(s * abs(d) for s, d in zip(signs, differences, strict=True)) for signs in patterns]
        expected = fmean(each <= sum(differences) + 1e-9 for each in sums)
        assert sign_flip_drop(differences) == pytest.approx(expected, abs=1e-12)
        assert sign_flip(differences) == pytest.approx(min(1, 2 * fmean(each <= -abs(sum(differences)) + 1e-9 for each in sums)))
    assert sign_flip([0.0, 0.0]) == 1 and sign_flip_drop([-0.5] * 5) == 1 / 32


def test_intervals_of_repeats_hold_what_they_promise():
    """Policies with chance, twice on each of 40 init states of their own: truth inside in about 95 of 100 measurements."""
    draw = random.Random(0)
    rate_misses = difference_misses = 0
    for _ in range(400):
        chances = [draw.choice((0.5, 0.8, 1.0)) for _ in range(40)]  # mean 0.767
        first, second = ([(sum(draw.random() < c * by for _ in range(2))) / 2 for c in chances] for by in (1.0, 0.8))
        rate, difference = share_rate(first, 80), share_difference(first, second, (80, 80))
        rate_misses += not rate.low <= 2.3 / 3 <= rate.high
        difference_misses += not difference.low <= -0.2 * 2.3 / 3 <= difference.high
    assert rate_misses <= 32 and difference_misses <= 32  # 20 expected; more than 32 has chance 0.004
