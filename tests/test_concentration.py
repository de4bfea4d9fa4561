"""How uneven use is: against the definitions written out, and against what chance alone gives."""

import numpy as np
import pytest

from vla_bench.concentration import concentration, even_counts


def test_even_use_and_a_single_place():
    even, one = concentration([3] * 20), concentration([0] * 19 + [7])
    assert (even.entropy, even.gini, even.top_tenth) == pytest.approx((1, 0, 0.1))
    assert (one.entropy, one.gini, one.top_tenth) == pytest.approx((0, 19 / 20, 1))


def test_the_definitions_written_out():
    counts = np.array([5, 0, 2, 9, 4, 1, 1, 0, 3, 6, 2])
    shares = counts / counts.sum()
    found = concentration(counts.tolist())
    assert found.gini == pytest.approx(abs(shares[:, None] - shares).sum() / (2 * len(counts)))
    assert found.entropy == pytest.approx(-sum(p * np.log(p) for p in shares if p) / np.log(11))
    assert found.top_tenth == pytest.approx(15 / 33)  # two of eleven places


@pytest.mark.parametrize("counts", [[], [4], [0, 0], [3, -1]])
def test_no_use_has_no_concentration(counts):
    with pytest.raises(ValueError):
        concentration(counts)


def test_even_counts_draw_different_places_each_time():
    assert even_counts([64] * 3, 64) == [3] * 64
    counts = even_counts([7] * 3000, 64)
    assert sum(counts) == 21000 and abs(np.array(counts) - 21000 / 64).max() < 5 * np.sqrt(21000 / 64)
    with pytest.raises(ValueError):
        even_counts([65], 64)
