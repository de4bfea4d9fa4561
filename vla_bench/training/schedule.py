"""Learning-rate schedules."""

from __future__ import annotations

import math

from vla_bench.values import Value

WARM_UP = 200  # steps of the trapezoid's warm-up: a number, not a share, so that a longer training begins the same
DECAY = 0.3  # share of all steps in the trapezoid's decay


class LearningRate(Value):
    """STEP: the paper's, constant, then a tenth of the rate.  COSINE: warm-up, then half a cosine down to a tenth.
    TRAPEZOID: warm-up, constant, linear decay to 0; a training can be prolonged while it is constant."""

    STEP = "step"
    COSINE = "cosine"
    TRAPEZOID = "trapezoid"

    def factor(self, step: int, max_steps: int, decay_at: float = 0.75, warm_up: float = 0.02, last: float = 0.1) -> float:
        """The factor of the peak rate at `step`; `decay_at` and `warm_up` are shares of all steps (paper: 30,000 of 40,000)."""
        done = step / max_steps
        if self is LearningRate.STEP:
            return 1.0 if done < decay_at else last
        if self is LearningRate.TRAPEZOID:
            return min(1.0, (step + 1) / WARM_UP, (1 - done) / DECAY)
        if done < warm_up:
            return (step + 1) / (warm_up * max_steps + 1)
        return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * (done - warm_up) / (1 - warm_up)))

    def prolongs(self, step: int, before: int, now: int) -> bool:
        """Whether trainings of `before` and of `now` steps have had the same rates up to `step`."""
        return self is LearningRate.TRAPEZOID and step <= (1 - DECAY) * min(before, now)
