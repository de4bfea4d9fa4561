"""Power of the exact test of paired outcomes, and the pairs that a wanted power takes.

Where a success rate drops by `drop`, a share `gained` of the pairs is gained and a share `gained + drop` is lost: fractions, all.
"""

from __future__ import annotations

import math

MOST_PAIRS = 1_000_000
SPREAD = 9  # standard deviations of the number of pairs that differ; beyond them lies less than 1e-17


def drop_power(pairs: int, drop: float, gained: float, alpha: float = 0.05) -> float:
    """Chance that McNemar's one-sided exact test finds the drop in so many pairs: the exact sum over all outcomes."""
    import numpy as np
    from scipy.special import bdtrc, gammaln, xlog1py, xlogy

    discordant = _discordant(drop, gained)
    middle, sd = pairs * discordant, math.sqrt(pairs * discordant * (1 - discordant))
    least, most = max(0, math.floor(middle - SPREAD * sd - SPREAD)), min(pairs, math.ceil(middle + SPREAD * sd + SPREAD))
    differ = np.arange(least, most + 1)
    ways = gammaln(pairs + 1) - gammaln(differ + 1) - gammaln(pairs - differ + 1)
    chance = np.exp(ways + xlogy(differ, discordant) + xlog1py(pairs - differ, -discordant))
    enough, too_few = differ + 1, differ // 2  # losses with which the test finds a drop, and with which it does not
    while (enough - too_few > 1).any():
        losses = (enough + too_few) // 2
        finds = bdtrc(losses - 1, differ, 0.5) < alpha
        enough, too_few = np.where(finds, losses, enough), np.where(finds, too_few, losses)
    found = np.where(enough > differ, 0.0, bdtrc(np.minimum(enough, differ) - 1, differ, (gained + drop) / discordant))
    return float(min(1.0, chance @ found))


def pairs_for(drop: float, gained: float, alpha: float = 0.05, power: float = 0.8) -> int | None:
    """Pairs with which the test finds the drop with that chance; None above a million.

    By bisection: the power wobbles with single pairs, so a few fewer or more may do as well.
    """
    low, high = 0, 1
    while drop_power(high, drop, gained, alpha) < power:
        low, high = high, 2 * high
        if high > MOST_PAIRS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if drop_power(middle, drop, gained, alpha) >= power else (middle, high)
    return high


def visible_drop(pairs: int, gained: float, alpha: float = 0.05, power: float = 0.8) -> float | None:
    """The smallest drop that the test finds in so many pairs with that chance; None where it finds none."""
    low, high = 0.0, 1 - 2 * gained
    if drop_power(pairs, high, gained, alpha) < power:
        return None
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if drop_power(pairs, middle, gained, alpha) >= power else (middle, high)
    return high


def _discordant(drop: float, gained: float) -> float:
    """Share of pairs that differ.  Raises ValueError."""
    if not (0 < drop <= 1 and 0 <= gained and drop + 2 * gained <= 1 + 1e-12):
        raise ValueError(f"a drop of {drop} with {gained} of the pairs gained")
    return min(drop + 2 * gained, 1.0)
