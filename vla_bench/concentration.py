"""How unevenly use is spread over places: pure functions of counts, one a place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Concentration:
    """entropy: Shannon's, as a share of its largest value; 1 for even use, 0 for one place alone.
    gini: Gini coefficient; 0 for even use, near 1 for one place alone.
    top_tenth: share of all use in the most used tenth of the places, their number rounded up; about 0.1 for even use.
    """

    entropy: float
    gini: float
    top_tenth: float


def concentration(counts: Sequence[float]) -> Concentration:
    """Raises ValueError for fewer than two places, a negative count, or no use at all."""
    n, total = len(counts), math.fsum(counts)
    if n < 2 or total <= 0 or min(counts) < 0:
        raise ValueError(f"{n} places used {total:g} times show no concentration")
    ordered = sorted(count / total for count in counts)
    entropy = -math.fsum(share * math.log(share) for share in ordered if share) / math.log(n)
    gini = math.fsum((2 * place - n - 1) * share for place, share in enumerate(ordered, 1)) / n
    return Concentration(entropy, gini, math.fsum(ordered[-math.ceil(n / 10) :]))


def even_counts(kept: Sequence[int], places: int, seed: int = 0) -> list[int]:
    """How often each place is used where every draw takes `kept` different places at random: what chance alone concentrates.

    Raises ValueError where a draw takes more than there are.
    """
    if max(kept, default=0) > places:
        raise ValueError(f"{max(kept)} of {places} places")
    generator, counts = np.random.default_rng(seed), np.zeros(places, int)
    for start in range(0, len(kept), 1000):  # blocks, for the memory
        wanted = np.asarray(kept[start : start + 1000], int)
        ranks = generator.random((len(wanted), places)).argsort(axis=1)
        counts += (ranks < wanted[:, None]).sum(axis=0)
    return [int(count) for count in counts]
