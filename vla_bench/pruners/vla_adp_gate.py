"""VLA-ADP's gate: an arm that moves far between two queries is reaching, and its next query needs fewer image tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

LOOKBACK = 2  # windows that a window is compared with


def displacement(path: np.ndarray, how: str) -> float:
    """The distance covered by (n, 3) positions, in their unit: "sum" along the path, "net" from its first to its last."""
    if len(path) < 2:
        return 0.0
    steps = np.diff(path, axis=0) if how == "sum" else path[-1:] - path[:1]
    return float(np.linalg.norm(steps, axis=1).sum())


@dataclass
class MotionGate:
    """Decides from the distance of every executed window whether the next query is pruned.  The first is not.

    rule: "adjacent" compares with the windows just before, "avg" with their moving average.
    between: what "adjacent" does with a distance that is neither the longest nor the shortest.
    fuse: after so many pruned queries in a row one is not; 0 for no limit.
    distance: of a window, "sum" of its steps or "net"; see `displacement`.
    """

    rule: str = "adjacent"
    between: str = "prune"
    fuse: int = 3
    distance: str = "sum"
    prune: bool = False
    _ended: np.ndarray | None = None  # (0 or 1, 3) where the last window ended, and the next begins
    _seen: list[float] = field(default_factory=list)
    _streak: int = 0

    def close(self, distance: float) -> bool:
        """End a window of this length: whether the next query is pruned."""
        before, self._seen = self._seen, [*self._seen, distance][-LOOKBACK:]
        if self.rule == "avg":
            # The average is moved first, and so the first window never lies below it.
            self._seen = [(before[0] + distance) / 2 if before else distance]
            prune = distance >= self._seen[0]
        elif len(before) < LOOKBACK:
            prune = False
        elif min(before) <= distance < max(before):
            prune = self.between == "prune" or self.prune
        else:
            prune = distance >= max(before)
        self._streak = self._streak + 1 if prune else 0
        if self.fuse and self._streak > self.fuse:
            prune, self._streak = False, 0
        self.prune = prune
        return prune

    def follow(self, path: np.ndarray | None) -> bool:
        """Whether a query is pruned; `path` (n, 3) are the gripper's positions since the last one."""
        path = np.zeros((0, 3)) if path is None else np.asarray(path, dtype=np.float64).reshape(-1, 3)
        # What the arm did before the first query is the scene settling.
        first, window = self._ended is None, path if self._ended is None else np.concatenate([self._ended, path])
        self._ended = window[-1:]
        return self.prune if first else self.close(displacement(window, self.distance))
