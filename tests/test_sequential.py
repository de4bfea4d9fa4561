"""E-values: their definitions, and that they grow on average not at all where their hypothesis holds."""

import math

import pytest

from vla_bench.sequential import fewest_pairs, log_e_drop, log_e_no_drop_of


def e_drop(lost, gained):
    return math.exp(log_e_drop(lost, gained))


def test_the_e_value_of_a_drop_is_the_mixture_over_a_uniform_prior():
    from scipy.special import beta, betaincc

    for lost, gained in ((0, 0), (5, 0), (0, 5), (7, 2), (40, 20), (150, 130)):
        n = lost + gained
        expected = 2 * 2.0**n * beta(lost + 1, gained + 1) * betaincc(lost + 1, gained + 1, 0.5)
        assert e_drop(lost, gained) == pytest.approx(expected, rel=1e-9)
    assert log_e_drop(2000, 0) == pytest.approx(2001 * math.log(2) - math.log(2001))  # far above any float


def test_seven_losses_and_no_gain_are_the_fewest_that_decide():
    assert e_drop(6, 0) < 20 <= e_drop(7, 0)
    assert e_drop(9, 1) < 20 <= e_drop(10, 1)


def test_without_a_drop_the_e_value_of_a_drop_stays_as_it_is_on_average():
    for lost in range(12):
        for gained in range(12):
            after = (e_drop(lost + 1, gained) + e_drop(lost, gained + 1)) / 2
            assert after == pytest.approx(e_drop(lost, gained), rel=1e-9)
            assert after >= 0.3 * e_drop(lost + 1, gained) + 0.7 * e_drop(lost, gained + 1)  # a gain is likelier


@pytest.mark.parametrize("drop", [0.02, 0.15, 0.6, 1.0])
def test_with_the_drop_its_e_value_stays_as_it_is_on_average(drop):
    def e(*counts):
        return math.exp(log_e_no_drop_of(drop, *counts))

    for gained in (0.0, (1 - drop) / 4, (1 - drop) / 2):
        lost = gained + drop
        for a, b, c in ((0, 0, 0), (30, 0, 0), (20, 3, 1), (5, 8, 9)):
            after = (1 - lost - gained) * e(a + 1, b, c) + lost * e(a, b + 1, c) + gained * e(a, b, c + 1)
            assert after <= e(a, b, c) * (1 + 1e-9)
            if drop < 0.99:  # as large as it can be
                assert after == pytest.approx(e(a, b, c), rel=1e-9)


def test_the_fewest_pairs_that_exclude_a_drop():
    for drop in (0.02, 0.05, 0.2):
        fewest = fewest_pairs(drop)
        assert log_e_no_drop_of(drop, fewest, 0, 0) >= math.log(20) > log_e_no_drop_of(drop, fewest - 1, 0, 0)
    assert fewest_pairs(0.05) == 88 and fewest_pairs(0.05, alpha=0.2) < 88


@pytest.mark.parametrize("wrong", [lambda: log_e_drop(-1, 0), lambda: log_e_no_drop_of(0, 1, 1, 1), lambda: fewest_pairs(1.5)])
def test_impossible_counts(wrong):
    with pytest.raises(ValueError):
        wrong()
