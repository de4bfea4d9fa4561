"""Learning rates and noise over the steps."""

from __future__ import annotations

import numpy as np
import pytest

from vla_bench.interface.noise import NoiseSchedule
from vla_bench.training.recipe import RECIPES
from vla_bench.training.schedule import LearningRate


def test_the_papers_schedules():
    paper = RECIPES["paper"]
    assert (paper.steps, paper.batch, paper.learning_rate, paper.lora_rank, paper.weight_decay) == (40_000, 64, 5e-4, 32, 0.01)
    factors = [paper.rate_schedule.factor(step, paper.steps) for step in (0, 29_999, 30_000, 39_999)]
    assert factors == [1.0, 1.0, 0.1, 0.1]
    assert [NoiseSchedule.LINEAR.scale(step, 40_000) for step in (0, 20_000, 40_000)] == [1.0, 0.5, 0.0]
    assert NoiseSchedule.CONSTANT.scale(9, 10) == 1.0 and NoiseSchedule.NONE.scale(0, 10) is None
    cosine = [LearningRate.COSINE.factor(step, 1000) for step in range(1000)]
    assert max(cosine) <= 1 and np.argmax(cosine) in (19, 20) and cosine[-1] == pytest.approx(0.1, abs=1e-3)


def test_a_trapezoid_can_be_made_longer_until_it_falls():
    factor = LearningRate.TRAPEZOID.factor
    rates = [factor(step, 10_000) for step in range(10_000)]
    assert rates[0] == 1 / 200 and set(rates[199:7_001]) == {1.0} and rates[8_500] == pytest.approx(0.5) and rates[-1] < 1e-3
    assert LearningRate.TRAPEZOID.prolongs(7_000, 10_000, 20_000)
    assert all(factor(step, 10_000) == factor(step, 20_000) for step in range(7_001))
    assert not LearningRate.TRAPEZOID.prolongs(7_001, 10_000, 20_000)
    assert not LearningRate.TRAPEZOID.prolongs(7_000, 10_000, 9_999)
    assert not LearningRate.COSINE.prolongs(10, 1_000, 2_000)
