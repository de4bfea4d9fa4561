import pytest

from vla_bench.stats import wilson


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
