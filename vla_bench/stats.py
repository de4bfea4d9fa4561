"""Statistics of success rates: pure functions, numbers in, numbers out.

A unit is an init state.  Its share is 0 or 1, or the mean of its repeats; where every share is 0 or 1 the functions of shares
are those of counts, to the digit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist, fmean, pvariance

Z95 = 1.959963984540054  # two-sided 95 % point of the normal distribution


@dataclass(frozen=True)
class Rate:
    """A success rate with n and its interval.  `rate` and the bounds are fractions; all three are None when n is 0.

    successes: sum of the units' shares, a whole number unless repeats of a unit ended differently.
    """

    successes: float
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


def share_rate(shares: Sequence[float], draws: int, z: float = Z95) -> Rate:
    """Mean share of units with the Wilson interval of their effective number (Korn and Graubard, Surv. Methodol. 24, 1998, 193).

    That is the number of coin flips whose mean varies as much as theirs: at least the units, and at most `draws`, the repeats
    of all together.
    """
    if all(share in (0, 1) for share in shares):
        return wilson(int(sum(shares)), len(shares))
    return Rate(math.fsum(shares), len(shares), *_share_interval(shares, draws, z))


def _share_interval(shares: Sequence[float], draws: int, z: float) -> tuple[float, float, float]:
    """The rate and both bounds of `share_rate`, for one unit or more."""
    n, rate = len(shares), fmean(shares)
    if all(share in (0, 1) for share in shares):
        return _score_interval(sum(shares), n, z)
    spread = pvariance(shares, rate)
    size = max(n, min(draws, n * rate * (1 - rate) / spread if spread else draws))
    return _score_interval(size * rate, size, z)


def _score_interval(successes: float, n: float, z: float) -> tuple[float, float, float]:
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
    phi = _correlation(both * neither - lost * gained, product, n)
    low = value - _reach(second - second_low, first_high - first, phi)
    high = value + _reach(second_high - second, first - first_low, phi)
    return Difference(value, low, high)


def share_difference(first: Sequence[float], second: Sequence[float], draws: tuple[int, int], z: float = Z95) -> Difference:
    """Mean of `second` less that of `first`, unit by unit, with the interval of `paired_difference` for shares.

    Both rates' intervals, here those of `share_rate`, joined by the units' correlation (Zou, Psychol. Methods 12, 2007, 399-413).
    draws: repeats of all units together, in either run.
    """
    if not first:
        raise ValueError("no pairs")
    n = len(first)
    here, here_low, here_high = _share_interval(first, draws[0], z)
    there, there_low, there_high = _share_interval(second, draws[1], z)
    total, other = math.fsum(first), math.fsum(second)
    product = (n * _squares(first) - total**2) * (n * _squares(second) - other**2)
    together = math.fsum(a * b for a, b in zip(first, second, strict=True))
    phi = _correlation(n * together - total * other, max(product, 0), n)
    value = (other - total) / n
    low = value - _reach(there - there_low, here_high - here, phi)
    return Difference(value, low, value + _reach(there_high - there, here - here_low, phi))


def _squares(values: Sequence[float]) -> float:
    return math.fsum(value * value for value in values)


def _correlation(excess: float, product: float, n: int) -> float:
    """With the paper's continuity correction towards none, of positive ones only.  Both numbers are n^2 times their moments."""
    excess = max(excess - n / 2, 0) if excess > 0 else excess
    return excess / math.sqrt(product) if product else 0.0


def _reach(a: float, b: float, correlation: float) -> float:
    return math.sqrt(max(a * a - 2 * correlation * a * b + b * b, 0))


def mcnemar_drop(lost: int, gained: int) -> float:
    """One-sided exact p that the second run is worse."""
    n = lost + gained
    return sum(math.comb(n, i) for i in range(gained + 1)) / (1 << n)


def sign_flip(differences: Sequence[float]) -> float:
    """Two-sided exact p of units' differences; see `sign_flip_drop`."""
    return min(1.0, 2 * min(sign_flip_drop(differences), sign_flip_drop([-each for each in differences])))


def sign_flip_drop(differences: Sequence[float]) -> float:
    """One-sided exact p that the second run is worse, of the units' differences: the second run's share less the first's.

    Without a difference either sign of each is as likely: the share of all patterns of signs whose sum is as low as this one
    (Fisher, The Design of Experiments, 1935, section 21).  With nothing between -1, 0 and 1 it is McNemar's test.
    """
    if all(each in (-1, 0, 1) for each in differences):
        return mcnemar_drop(sum(each < 0 for each in differences), sum(each > 0 for each in differences))
    exact = [Fraction(each).limit_denominator(10_000) for each in differences]  # shares of at most 100 repeats
    scale = math.lcm(*(each.denominator for each in exact))
    whole = [int(each * scale) for each in exact if each]
    gains = sum(each for each in whole if each > 0)
    # Chance that those with a positive sign add up to 0, 1, ... gains; a higher sum cannot fall back.
    chances = [1.0] + [0.0] * gains
    for step in map(abs, whole):
        moved = [0.0] * min(step, gains + 1) + chances[: max(gains + 1 - step, 0)]
        chances = [(stay + move) / 2 for stay, move in zip(chances, moved, strict=True)]
    return min(1.0, math.fsum(chances))


def pairs_needed(drop: float, discordant: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Pairs with which a one-sided McNemar test sees a drop with that chance (Connor, Biometrics 43, 1987).

    drop: of the success rate, a fraction above 0.  discordant: share of pairs that differ, at least `drop`.
    """
    if not 0 < drop <= discordant <= 1:
        raise ValueError(f"a drop of {drop} among {discordant} discordant pairs")
    normal = NormalDist()
    spread = normal.inv_cdf(1 - alpha) * math.sqrt(discordant) + normal.inv_cdf(power) * math.sqrt(discordant - drop * drop)
    return math.ceil((spread / drop) ** 2)


def smallest_drop(pairs: int, gained: float, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """The smallest drop that `pairs` can show where as many are gained as were; None where even the largest would be missed.

    gained: pairs that only the second run won; of shares the sum of the squared gains, which varies as much.
    """
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
