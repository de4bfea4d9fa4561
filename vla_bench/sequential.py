"""E-values of paired outcomes: evidence that may be looked at after every pair.

While its hypothesis holds, an e-value ever reaches 1 / alpha with a chance of at most alpha (Ville 1939; Ramdas et al., Statist.
Sci. 38, 2023, 576-601).  So a run may stop at the first pair that decides.  A p value has no such promise: it is for a number of
pairs that was fixed beforehand.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import accumulate

BETS = 50  # shares of the largest allowed bet that `log_e_no_drop_of` averages over


@lru_cache(maxsize=1 << 16)
def log_e_drop(lost: int, gained: int) -> float:
    """Log of the e-value against "no drop": a pair that differs was at most as likely lost as gained.

    The likelihood ratio of losses with chance theta to those of a fair coin, averaged over theta, uniform on (1/2, 1).  That is
    2 * 2^n * B(lost + 1, gained + 1) * P(Beta(lost + 1, gained + 1) > 1/2), here in whole numbers and so exact.
    """
    if lost < 0 or gained < 0:
        raise ValueError(f"{lost} lost and {gained} gained")
    n = lost + gained
    coefficients = accumulate(range(lost), lambda value, i: value * (n + 1 - i) // (i + 1), initial=1)  # C(n + 1, 0 ... lost)
    return math.log(sum(coefficients)) - math.log((n + 1) * math.comb(n, lost))


@lru_cache(maxsize=1 << 16)
def log_e_no_drop_of(drop: float, agreed: int, lost: int, gained: int) -> float:
    """Log of the e-value against "the success rate fell by `drop` or more", a fraction.

    Each pair's difference d is -1, 0 or 1, and under the hypothesis -drop or less on average: a bet of lambda multiplies by
    1 + lambda * (d + drop).  Averaged over `BETS` sizes up to the largest that cannot go below nothing (Waudby-Smith and
    Ramdas, J. R. Stat. Soc. B 86, 2024, 1-27).
    """
    if not 0 < drop <= 1 or min(agreed, lost, gained) < 0:
        raise ValueError(f"a drop of {drop} with {agreed} agreed, {lost} lost and {gained} gained")
    logs = [agreed * same + lost * less + gained * more for same, less, more in _bets(drop)]
    most = max(logs)
    return most + math.log(math.fsum(math.exp(each - most) for each in logs) / BETS)


@lru_cache
def _bets(drop: float) -> list[tuple[float, float, float]]:
    """Of each bet the logs of what it pays where both agree, where the pair is lost, and where it is gained."""
    largest = 1 / max(1 - drop, 0.01)
    bets = [(number + 0.5) / BETS * largest for number in range(BETS)]
    return [(math.log1p(bet * drop), math.log1p(-bet * (1 - drop)), math.log1p(bet * (1 + drop))) for bet in bets]


def fewest_pairs(drop: float, alpha: float = 0.05) -> int:
    """Pairs after which a drop of that size is excluded where none of them differs."""
    low, high = 0, 1
    while log_e_no_drop_of(drop, high, 0, 0) < -math.log(alpha):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if log_e_no_drop_of(drop, middle, 0, 0) >= -math.log(alpha) else (middle, high)
    return high
