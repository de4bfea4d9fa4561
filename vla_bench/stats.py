"""Statistics of success counts: pure functions, numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054  # two-sided 95 % point of the normal distribution


@dataclass(frozen=True)
class Rate:
    """A success rate with its company.  `rate` and the bounds are fractions; all three are None when n is 0."""

    successes: int
    n: int
    rate: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.n == 0:
            return "no episodes"
        return f"{100 * self.rate:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}], n={self.n}"


def wilson(successes: int, n: int, z: float = Z95) -> Rate:
    """Success rate with its Wilson score interval (Wilson, JASA 1927): stays inside [0, 1], sound near both ends."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    if n == 0:
        return Rate(0, 0, None, None, None)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return Rate(successes, n, p, low, high)


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided exact p of paired outcomes: `lost` pairs that only the first won, `gained` that only the second did.

    Under no difference each such pair is a fair coin (McNemar 1947); pairs that agree say nothing.
    """
    n, least = lost + gained, min(lost, gained)
    return min(1.0, 2 * sum(math.comb(n, i) for i in range(least + 1)) / 2**n)


def holm(found: Sequence[float]) -> list[float]:
    """p values of one family of tests, adjusted for their number (Holm 1979), in the order given."""
    adjusted, least = [0.0] * len(found), 0.0
    for rank, index in enumerate(sorted(range(len(found)), key=found.__getitem__)):
        least = max(least, min(1.0, (len(found) - rank) * found[index]))
        adjusted[index] = least
    return adjusted
