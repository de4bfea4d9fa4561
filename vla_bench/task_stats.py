"""Inference over tasks: a run's tasks as a sample of tasks of their kind, each with its mean difference between two runs.

Pure functions, numbers in, numbers out.  They take the tasks' means as normal, as Student's t does, and know nothing of the init
states within a task: `vla_bench.results.evidence` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from vla_bench.stats import Difference, sign_flip_drop

LEAST_TASKS = 5  # fewer show too little of how tasks differ to decide anything


def task_interval(differences: Sequence[float], level: float = 0.95) -> Difference | None:
    """Mean of the tasks' differences with Student's t interval, which speaks of tasks of their kind.  None below two tasks."""
    from scipy.special import stdtrit

    n = len(differences)
    if n < 2:
        return None
    mean, half = fmean(differences), float(stdtrit(n - 1, (1 + level) / 2)) * stdev(differences) / math.sqrt(n)
    return Difference(mean, mean - half, mean + half)


def task_drop(differences: Sequence[float]) -> float:
    """One-sided p, by Student's t test, that the mean over tasks is below 0.

    Where all tasks differ by the same there is no spread to hold their mean against: the sign-flip test's p.  Raises ValueError
    below two tasks.
    """
    from scipy.special import stdtr

    n = len(differences)
    if n < 2:
        raise ValueError(f"{n} tasks show no spread")
    spread = stdev(differences)
    return float(stdtr(n - 1, fmean(differences) * math.sqrt(n) / spread)) if spread else sign_flip_drop(differences)


def smallest_task_drop(differences: Sequence[float], alpha: float = 0.05, power: float = 0.8) -> float | None:
    """The drop of the mean over tasks that `task_drop` sees with that chance where tasks spread as they do here (noncentral t).

    None where even the largest drop would be missed.  Raises ValueError below two tasks.
    """
    from scipy.special import nctdtrinc, stdtrit

    n = len(differences)
    if n < 2:
        raise ValueError(f"{n} tasks show no spread")
    shift = float(nctdtrinc(n - 1, 1 - power, float(stdtrit(n - 1, 1 - alpha))))
    drop = shift * stdev(differences) / math.sqrt(n)
    return drop if drop <= 1 else None
