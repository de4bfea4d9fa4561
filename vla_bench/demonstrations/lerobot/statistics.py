"""Statistics of features as lerobot has them: least, greatest, mean, standard deviation, count and five quantiles."""

from __future__ import annotations

import numpy as np

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
Table = dict[str, list]


def of_rows(rows: np.ndarray) -> Table:
    """Of a feature's rows (T, n), by column: lists of length n; `count` has one number."""
    rows = np.asarray(rows, np.float64).reshape(len(rows), -1)
    table = {"min": rows.min(axis=0), "max": rows.max(axis=0), "mean": rows.mean(axis=0), "std": rows.std(axis=0)}
    table |= {name: np.quantile(rows, share, axis=0) for name, share in QUANTILES.items()}
    return {name: value.tolist() for name, value in table.items()} | {"count": [len(rows)]}


class Levels:
    """How often each of the 256 levels occurs in each channel of images, from which everything else follows exactly."""

    def __init__(self) -> None:
        self.counts = np.zeros((3, 256), np.int64)
        self.images = 0

    def add(self, images: np.ndarray) -> None:
        """images: (T, S, S, 3) uint8."""
        self.counts += np.stack([np.bincount(images[..., channel].ravel(), minlength=256) for channel in range(3)])
        self.images += len(images)

    def __iadd__(self, other: Levels) -> Levels:
        self.counts += other.counts
        self.images += other.images
        return self

    def table(self) -> Table:
        """By channel, in [0, 1], each number as (3, 1, 1)."""
        level, pixels = np.arange(256) / 255, self.counts.sum(axis=1)
        seen, below = self.counts > 0, np.cumsum(self.counts, axis=1)
        mean = self.counts @ level / pixels
        table = {"min": level[seen.argmax(axis=1)], "max": level[255 - seen[:, ::-1].argmax(axis=1)], "mean": mean}
        table["std"] = np.sqrt((self.counts * (level - mean[:, None]) ** 2).sum(axis=1) / pixels)
        for name, share in QUANTILES.items():
            table[name] = level[(below >= share * pixels[:, None]).argmax(axis=1)]
        return {name: value.reshape(3, 1, 1).tolist() for name, value in table.items()} | {"count": [self.images]}
