"""Statistics of times: median, percentiles and ratios, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

RESAMPLES = 2000
TAIL_NEEDS = 1000  # samples that a 99th percentile takes at least


@dataclass(frozen=True)
class Spread:
    """Milliseconds over n queries.  low, high: 95 % interval of the median.  p99: None below 1,000 queries."""

    n: int
    median: float
    low: float
    high: float
    p5: float
    p95: float
    p99: float | None
    mean: float
    sd: float
    min: float

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Ratio:
    """Ratio of two times, with its 95 % interval."""

    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.ratio:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def to_dict(self) -> dict[str, float]:
        return asdict(self)


def spread(times: Sequence[float], seed: int = 0) -> Spread:
    """Statistics of times in ms.  Raises ValueError for none."""
    x = np.asarray(times, dtype=float)
    if not len(x):
        raise ValueError("no times")
    medians = np.median(x[_draws(len(x), seed)], axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return Spread(
        n=len(x),
        median=float(np.median(x)),
        low=float(low),
        high=float(high),
        p5=float(np.percentile(x, 5)),
        p95=float(np.percentile(x, 95)),
        p99=float(np.percentile(x, 99)) if len(x) >= TAIL_NEEDS else None,
        mean=float(x.mean()),
        sd=float(x.std(ddof=1)) if len(x) > 1 else 0.0,
        min=float(x.min()),
    )


def ratio(slow: Sequence[float], fast: Sequence[float], seed: int = 0) -> Ratio:
    """Median over the queries of slow / fast.

    Both are timed on each query one right after the other, so that a drift of the machine's speed cancels; in a ratio of
    medians it does not.  Raises ValueError for lists of unequal length or none.
    """
    x, y = np.asarray(slow, dtype=float), np.asarray(fast, dtype=float)
    if len(x) != len(y) or not len(x):
        raise ValueError(f"{len(x)} and {len(y)} times are not pairs")
    ratios = x / y
    low, high = np.percentile(np.median(ratios[_draws(len(x), seed)], axis=1), [2.5, 97.5])
    return Ratio(float(np.median(ratios)), float(low), float(high))


def _draws(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(n, size=(RESAMPLES, n))
