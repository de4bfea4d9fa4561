"""The noise that keeps a pruner's selection exploring while it is trained."""

from __future__ import annotations

from vla_bench.values import Value


class NoiseSchedule(Value):
    """How the noise's upper bound moves over training: the paper's linear decay, and its two ablations."""

    LINEAR = "linear"
    CONSTANT = "constant"  # "w/o schedule"; the value is not published, 1.0 is taken
    NONE = "none"  # "w/o noise"

    def scale(self, step: int, max_steps: int) -> float | None:
        """The upper bound alpha at a step; None for no noise at all."""
        if self is NoiseSchedule.NONE:
            return None
        return 1.0 if self is NoiseSchedule.CONSTANT else 1.0 - step / max_steps
