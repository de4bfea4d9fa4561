"""Inference over tasks, against SciPy and against drawn tasks."""

import random

import pytest

from vla_bench.task_stats import smallest_task_drop, task_drop, task_interval

VALUES = [0.1, -0.2, 0.05, 0.3, -0.4]


def test_the_interval_over_tasks_is_student_s():
    from scipy.stats import ttest_1samp

    for some in (VALUES[:2], VALUES[:3], VALUES, VALUES * 8, VALUES * 40):
        for level in (0.9, 0.95, 0.99):
            found, expected = task_interval(some, level), ttest_1samp(some, 0).confidence_interval(level)
            assert (found.low, found.high) == pytest.approx(tuple(expected), rel=1e-9)
            assert found.value == pytest.approx(sum(some) / len(some))
    assert task_interval([0.5]) is None


def test_the_one_sided_test_is_student_s():
    from scipy.stats import ttest_1samp

    for some in (VALUES[:2], VALUES, VALUES * 8):
        assert task_drop(some) == pytest.approx(ttest_1samp(some, 0, alternative="less").pvalue, rel=1e-9)
    assert task_drop([-0.1] * 5) == 1 / 32  # no spread: five signs
    assert task_drop([0.0] * 5) == task_drop([0.1] * 5) == 1
    with pytest.raises(ValueError, match="no spread"):
        task_drop([-0.5])


@pytest.mark.parametrize(("tasks", "alpha"), [(5, 0.05), (10, 0.05), (10, 0.0125), (40, 0.05)])
def test_the_smallest_drop_is_seen_four_times_in_five(tasks, alpha):
    from scipy.stats import nct, t

    spread = [(-1) ** i * 0.1 for i in range(tasks)]
    sd = (sum(each**2 for each in spread) - sum(spread) ** 2 / tasks) / (tasks - 1)
    drop = smallest_task_drop(spread, alpha)
    assert nct.sf(t.isf(alpha, tasks - 1), tasks - 1, drop * tasks**0.5 / sd**0.5) == pytest.approx(0.8, abs=1e-6)


def test_the_smallest_drop_is_what_drawn_tasks_show():
    draw = random.Random(0)
    spread = [(-1) ** i * 0.1 for i in range(10)]
    sd, drop = (10 * 0.01 / 9) ** 0.5, smallest_task_drop(spread)
    seen = sum(task_drop([draw.gauss(-drop, sd) for _ in range(10)]) < 0.05 for _ in range(1000))
    false = sum(task_drop([draw.gauss(0, sd) for _ in range(10)]) < 0.05 for _ in range(1000))
    assert 760 <= seen <= 840 and 29 <= false <= 71  # three standard deviations
    assert smallest_task_drop([-1, 1, -1, 1]) is None
