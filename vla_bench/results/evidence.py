"""What the pairs of two runs say: of these tasks and init states, or of tasks of their kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from statistics import fmean

from vla_bench.results.pairs import Pairs, pair
from vla_bench.results.units import Key, Unit
from vla_bench.stats import Difference, smallest_drop
from vla_bench.task_stats import LEAST_TASKS, smallest_task_drop, task_drop, task_interval
from vla_bench.values import Population

LEVEL = 0.05  # of a family of tests


class Verdict(str, Enum):
    """What the pairs establish about a run compared with the first."""

    LOWER = "lower"
    HIGHER = "higher"
    OPEN = "not separated"
    ERRORS = "too many errors"


@dataclass(frozen=True)
class Evidence:
    """The pairs of two runs, and each task's mean difference.

    Tasks of a kind are never known better than the measured ones themselves: over tasks p is no lower, the interval no narrower
    and the smallest visible drop no smaller than on these tasks and init states.  Student's t alone would take a few tasks that
    happen to agree for certainty.
    """

    pairs: Pairs
    tasks: tuple[float, ...]

    def few(self, population: Population) -> bool:
        """Whether there are too few tasks to say anything of tasks of their kind."""
        return population is Population.TASKS and len(self.tasks) < LEAST_TASKS

    def p(self, population: Population = Population.INIT_STATES) -> float:
        """Two-sided, that there is no difference; 1 where the tasks are too few."""
        if population is Population.INIT_STATES:
            return self.pairs.p
        if self.few(population):
            return 1.0
        either_side = min(task_drop(self.tasks), task_drop([-each for each in self.tasks]))
        return max(self.pairs.p, min(1.0, 2 * either_side))

    def p_drop(self, population: Population = Population.INIT_STATES) -> float:
        """One-sided, that there is no drop; 1 where the tasks are too few."""
        if population is Population.INIT_STATES:
            return self.pairs.p_drop
        return 1.0 if self.few(population) else max(self.pairs.p_drop, task_drop(self.tasks))

    def difference(self, alpha: float = LEVEL) -> Difference:
        """Of these tasks and init states, with Newcombe's interval that leaves `alpha` / 2 on either side.

        Raises ValueError without a pair.
        """
        return self.pairs.difference(alpha)

    def over_tasks(self, alpha: float = LEVEL) -> Difference | None:
        """Mean over tasks, with Student's t interval that leaves `alpha` / 2 on either side; None for a single task."""
        over = task_interval(self.tasks, 1 - alpha)
        if over is None:
            return None
        own = self.difference(alpha)
        return Difference(over.value, max(-1.0, min(over.low, own.low)), min(1.0, max(over.high, own.high)))

    def smallest_drop(self, population: Population, alpha: float) -> float | None:
        """The smallest drop that the one-sided test sees with 80 % power; None where even the largest would be missed."""
        own = smallest_drop(self.pairs.count, self.pairs.gained_spread, alpha)
        if population is Population.INIT_STATES:
            return own
        over = None if self.few(population) else smallest_task_drop(self.tasks, alpha)
        return None if own is None or over is None else max(own, over)

    def verdict(self, adjusted: float, population: Population = Population.INIT_STATES) -> Verdict:
        """By the adjusted p, in the direction of the difference."""
        if not self.pairs.covered:
            return Verdict.ERRORS
        if adjusted >= LEVEL:
            return Verdict.OPEN
        value = self.difference().value if population is Population.INIT_STATES else fmean(self.tasks)
        return Verdict.LOWER if value < 0 else Verdict.HIGHER


def evidence(first: dict[Key, Unit], other: dict[Key, Unit]) -> Evidence:
    """Of the init states that both runs have."""
    tasks: dict[tuple[str, int], list[float]] = {}
    for key, here in first.items():
        if key in other and here.mean is not None and (there := other[key].mean) is not None:
            tasks.setdefault(key.task, []).append(there - here.mean)
    return Evidence(pair(first, other), tuple(fmean(differences) for differences in tasks.values()))
