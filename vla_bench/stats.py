"""Statistics of success counts: pure functions, numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

Z95 = 1.959963984540054  # two-sided 95 % point of the normal distribution


@dataclass(frozen=True)
class Rate:
    """A success rate with n and its interval.  `rate` and the bounds are fractions; all three are None when n is 0."""

    successes: int
    n: int
    rate: float | None
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.rate is None or self.low is None or self.high is None:
            return "no episodes"
        return f"{100 * self.rate:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}], n={self.n}"


def wilson(successes: int, n: int, z: float = Z95) -> Rate:
    """Success rate with its Wilson score interval (Wilson, JASA 1927): stays inside [0, 1], sound near both ends."""
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n}")
    return Rate(0, 0, None, None, None) if n == 0 else Rate(successes, n, *_score_interval(successes, n, z))


def _score_interval(successes: int, n: int, z: float) -> tuple[float, float, float]:
    """The rate and both bounds of `wilson`, for n above 0."""
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low = 0.0 if successes == 0 else centre - half
    high = 1.0 if successes == n else centre + half
    return p, low, high


def mcnemar(lost: int, gained: int) -> float:
    """Two-sided exact p of paired outcomes: `lost` pairs that only the first won, `gained` that only the second did.

    Without a difference each such pair is a fair coin flip (McNemar 1947); pairs that agree are not used.
    """
    return min(1.0, 2 * mcnemar_drop(max(lost, gained), min(lost, gained)))


@dataclass(frozen=True)
class Difference:
    """Success rate of the second run less that of the first, on pairs, with its 95 % interval; fractions."""

    value: float
    low: float
    high: float


def paired_difference(both: int, lost: int, gained: int, neither: int, z: float = Z95) -> Difference:
    """Newcombe's paired score interval (Stat. Med. 17, 1998, 2635-2650, method 10), from the counts of pairs.

    Built of both rates' Wilson intervals and the pairs' correlation; like them sound near both ends.
    """
    n = both + lost + gained + neither
    if n == 0:
        raise ValueError("no pairs")
    first, first_low, first_high = _score_interval(both + lost, n, z)
    second, second_low, second_high = _score_interval(both + gained, n, z)
    value = (gained - lost) / n
    product = (both + lost) * (gained + neither) * (both + gained) * (lost + neither)
    excess: float = both * neither - lost * gained
    # Continuity correction towards no correlation, of positive ones only, as in the paper.
    excess = max(excess - n / 2, 0) if excess > 0 else excess
    phi = excess / math.sqrt(product) if product else 0.0

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(a * a - 2 * phi * a * b + b * b, 0))

    low = value - reach(second - second_low, first_high - first)
    high = value + reach(second_high - second, first - first_low)
    return Difference(value, low, high)


def mcnemar_drop(lost: int, gained: int) -> float:
    """One-sided exact p that the second run is worse."""
    n = lost + gained
    return sum(math.comb(n, i) for i in range(gained + 1)) / (1 << n)


def pairs_needed(drop: float, discordant: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs with which a one-sided McNemar test sees a drop with that chance (Connor, Biometrics 43, 1987).

    drop: of the success rate, a fraction above 0.  discordant: share of pairs that differ, at least `drop`.
    """
    if not 0 < drop <= discordant <= 1:
        raise ValueError(f"a drop of {drop} among {discordant} discordant pairs")
    normal = NormalDist()
    spread = normal.inv_cdf(1 - alpha) * math.sqrt(discordant) + normal.inv_cdf(power) * math.sqrt(discordant - drop * drop)
    return math.ceil((spread / drop) ** 2)


def smallest_drop(pairs: int, gained: int, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """The smallest drop that `pairs` can show where as many are gained as were; None where even the largest would be missed."""
    share = gained / pairs

    def enough(drop: float) -> bool:
        return pairs_needed(drop, min(2 * share + drop, 1.0), alpha, power) <= pairs

    fewest = math.floor(math.log2(1 / alpha)) + 1  # losses, with nothing gained, that the exact test takes for a drop
    low, high = min(fewest / pairs, 1.0), 1 - 2 * share
    if high < fewest / pairs or not enough(high):
        return None
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def holm(p_values: Sequence[float]) -> list[float]:
    """p values of one family of tests, adjusted for their number (Holm 1979), in the order given."""
    adjusted, least = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        least = max(least, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = least
    return adjusted
