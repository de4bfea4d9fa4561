"""Shares of suites."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vla_bench.errors import UsageError
from vla_bench.interface.presets import NANO
from vla_bench.training.recipe import recipe
from vla_bench.training.samples import SampleLoader
from vla_bench.training.shares import parse_shares


def test_suites_are_drawn_by_their_shares_and_their_tasks_evenly(longer):
    frames, made = longer
    three = np.repeat([0, 1, 2], (30, 10, 30))
    uneven = replace(frames, instruction=three, instructions=("a", "b", "c"), suites=("libero_goal", "libero_goal", "libero_10"))
    samples = SampleLoader(
        uneven, NANO, *made[:2], normalisation=made[2], seed=made[3], switch_weight=3.0, shares=parse_shares("long=3")
    )
    probabilities, task = samples.probabilities, three[samples.starts]
    assert [probabilities[task == i].sum() for i in range(3)] == pytest.approx([1 / 8, 1 / 8, 3 / 4])
    assert probabilities[task == 2].max() / probabilities[task == 2].min() == pytest.approx(3.0)


@pytest.mark.parametrize("text", ["long", "long=0", "long=nan", "libero_10=2", "long=1,=2"])
def test_a_share_that_is_none_is_refused(text):
    with pytest.raises(UsageError, match="--shares"):
        recipe("nano-oft").with_options(shares=text)
