"""Power of McNemar's exact test: against the sum over every outcome, and its inverses."""

import math

import pytest

from vla_bench.power import drop_power, pairs_for, visible_drop
from vla_bench.stats import mcnemar_drop


def every_outcome(pairs, drop, gained, alpha):
    """The chance of all outcomes in which the test finds a drop."""
    lost, total = gained + drop, 0.0
    for b in range(pairs + 1):
        for c in range(pairs - b + 1):
            if mcnemar_drop(b, c) < alpha:
                ways = math.comb(pairs, b) * math.comb(pairs - b, c)
                total += ways * lost**b * gained**c * max(1 - lost - gained, 0) ** (pairs - b - c)
    return total


@pytest.mark.parametrize("case", [(12, 0.3, 0.1), (30, 0.2, 0.05), (20, 0.5, 0.0), (9, 1.0, 0.0), (25, 0.4, 0.3), (4, 0.9, 0.0)])
def test_power_is_the_sum_over_every_outcome(case):
    for alpha in (0.05, 0.2):
        assert drop_power(*case, alpha) == pytest.approx(every_outcome(*case, alpha), abs=1e-12)


def test_power_of_libero_s_sizes():
    """Published nowhere but in the notes that this tool was designed by; by simulation there."""
    cases = {(100, 0.05, 0.01): 0.44, (200, 0.05, 0.01): 0.83, (500, 0.01, 0.01): 0.27, (2000, 0.01, 0.01): 0.80}
    assert {case: drop_power(*case) for case in cases} == pytest.approx(cases, abs=0.01)


def test_pairs_and_drops_are_found_again():
    needed = pairs_for(0.02, 0.01)
    assert drop_power(needed, 0.02, 0.01) >= 0.8 > drop_power(needed - 20, 0.02, 0.01)
    assert pairs_for(0.02, 0.01, power=0.9) > needed and pairs_for(0.02, 0.01, alpha=0.01) > needed
    assert visible_drop(needed, 0.01) == pytest.approx(0.02, abs=2e-4)
    assert visible_drop(4, 0.0) is None and visible_drop(50, 0.49) is None
    assert pairs_for(1e-6, 0.2) is None


@pytest.mark.parametrize("wrong", [(0.0, 0.1), (0.5, 0.3), (0.1, -0.1)])
def test_shares_that_cannot_be(wrong):
    with pytest.raises(ValueError):
        drop_power(100, *wrong)
