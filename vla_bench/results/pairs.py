"""Two runs paired on the same init states: counts, rates, and the difference of these tasks and init states."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

from vla_bench.results.units import Key, Unit
from vla_bench.stats import Difference, Rate, mcnemar, paired_difference, share_difference, share_rate, sign_flip, sign_flip_drop

COVERAGE = 0.98  # least share of common episodes without an error for a verdict


@dataclass(frozen=True)
class Pairs:
    """Counts of init states in both runs.  lost: only the first succeeded; gained: only the other; an error is a missing pair.

    split: pairs where repeats of either ended differently; they are in none of the counts.
    """

    both: int
    lost: int
    gained: int
    neither: int
    errors: int
    split: tuple[tuple[Unit, Unit], ...] = ()

    @property
    def count(self) -> int:
        """Pairs without an error."""
        return self.both + self.lost + self.gained + self.neither + len(self.split)

    @property
    def fell(self) -> int:
        """Pairs whose share of successes is lower in the other run."""
        return self.lost + sum(there.mean < here.mean for here, there in self.split)

    @property
    def rose(self) -> int:
        """Pairs whose share of successes is higher in the other run."""
        return self.gained + sum(there.mean > here.mean for here, there in self.split)

    @property
    def rates(self) -> tuple[Rate, Rate]:
        """Success rates of both runs on these pairs, with Wilson intervals."""
        first, second = self._shares()
        return share_rate(first, self._draws()[0]), share_rate(second, self._draws()[1])

    @property
    def covered(self) -> bool:
        """Whether there are few enough errors for a verdict."""
        return self.count >= COVERAGE * (self.count + self.errors)

    @property
    def p(self) -> float:
        """Two-sided exact p: McNemar's test, with repeats that ended differently the sign-flip test."""
        return mcnemar(self.lost, self.gained) if not self.split else sign_flip(self._differences())

    @property
    def p_drop(self) -> float:
        """One-sided exact p that the other run is worse."""
        return sign_flip_drop(self._differences())

    @property
    def gained_spread(self) -> float:
        """The gains' share of the differences' spread, as `smallest_drop` takes it."""
        return self.gained + sum(max(there.mean - here.mean, 0) ** 2 for here, there in self.split)

    def difference(self, alpha: float = 0.05) -> Difference:
        """With the interval that leaves `alpha` / 2 on either side.  Raises ValueError without a pair."""
        z = NormalDist().inv_cdf(1 - alpha / 2)
        if not self.split:
            return paired_difference(self.both, self.lost, self.gained, self.neither, z)
        return share_difference(*self._shares(), self._draws(), z)

    def _shares(self) -> tuple[list[float], list[float]]:
        counts = ((self.both, 1, 1), (self.lost, 1, 0), (self.gained, 0, 1), (self.neither, 0, 0))
        first = [float(here) for count, here, _ in counts for _ in range(count)]
        second = [float(there) for count, _, there in counts for _ in range(count)]
        return first + [here.mean for here, _ in self.split], second + [there.mean for _, there in self.split]

    def _differences(self) -> list[float]:
        return [-1.0] * self.lost + [1.0] * self.gained + [there.mean - here.mean for here, there in self.split]

    def _draws(self) -> tuple[int, int]:
        rest = self.count - len(self.split)
        return rest + sum(here.repeats for here, _ in self.split), rest + sum(there.repeats for _, there in self.split)


def pair(first: dict[Key, Unit], other: dict[Key, Unit]) -> Pairs:
    """The init states that both runs have."""
    pairs = [(first[key], other[key]) for key in first if key in other]
    ended = [(here, there) for here, there in pairs if here.mean is not None and there.mean is not None]
    means = [(here.mean, there.mean) for here, there in ended]
    counts = [means.count(outcomes) for outcomes in ((1, 1), (1, 0), (0, 1), (0, 0))]
    split = tuple(pair for pair, both in zip(ended, means, strict=True) if not {*both} <= {0, 1})
    return Pairs(*counts, len(pairs) - len(ended), split)
