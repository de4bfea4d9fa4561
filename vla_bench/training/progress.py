"""Progress of a training, on standard error."""

from __future__ import annotations

import sys
import time
from collections import deque

SHOWN = ("loss", "action", "gripper", "kept", "where")
EVERY_S = 10.0  # interval of lines without a terminal


class TrainProgress:
    """A line with step, means of the last steps, samples per second, and the time left."""

    def __init__(self, batch: int, average: int = 50):
        self._batch = batch
        self._recent: deque[dict[str, float]] = deque(maxlen=average)
        self._ends: deque[float] = deque(maxlen=average)
        self._printed = 0.0

    def __call__(self, step: int, steps: int, values: dict[str, float]) -> None:
        now = time.monotonic()
        self._recent.append(values)
        self._ends.append(now)
        terminal = sys.stderr.isatty()
        if step < steps and now - self._printed < (0.5 if terminal else EVERY_S):
            return
        self._printed = now
        print(self._line(step, steps), end="\r" if terminal and step < steps else "\n", file=sys.stderr, flush=True)

    def _line(self, step: int, steps: int) -> str:
        names = [name for name in SHOWN if name in self._recent[-1]]
        means = {name: sum(row[name] for row in self._recent) / len(self._recent) for name in names}
        words = [f"{name} {value:.1f}" if name == "kept" else f"{name} {value:.4f}" for name, value in means.items()]
        span = self._ends[-1] - self._ends[0]
        if span > 0:
            pace = (len(self._ends) - 1) / span  # steps a second
            words += [f"{pace * self._batch:.0f} samples/s", f"{(steps - step) / pace / 60:.0f} min left"]
        return f"{step}/{steps}  " + ", ".join(words)
