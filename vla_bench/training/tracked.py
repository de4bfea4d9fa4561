"""A training's log for experiment trackers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from vla_bench.tracking import Tracker
from vla_bench.training.recipe import Recipe

OnStep = Callable[[int, int, dict[str, float]], None]


class TrackedTraining:
    """Passes every step on, and to a tracker, from the first step to the end of the `with` block.

    The processes that report no step, all but the first, leave no record.  out: folder of the training, by which it is known
    when it is resumed.
    """

    def __init__(self, on_step: OnStep, tracker: Tracker | None, recipe: Recipe, out: Path):
        self._on_step, self._tracker, self._recipe, self._out = on_step, tracker, recipe, out
        self._last: dict[str, float] | None = None

    def __enter__(self) -> TrackedTraining:
        return self

    def __call__(self, step: int, steps: int, values: dict[str, float]) -> None:
        self._on_step(step, steps, values)
        if self._tracker is None:
            return
        if self._last is None:
            digest = hashlib.sha256(str(self._out.resolve()).encode()).hexdigest()[:8]
            self._tracker.start(f"{self._out.name}-{digest}", asdict(self._recipe))
        self._last = {"step": step, **values}
        self._tracker.log(step, values)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._tracker is not None and self._last is not None:
            whole = self._last["step"] == self._recipe.steps
            status = "complete" if whole and kind is None else "interrupted" if kind is None else kind.__name__
            self._tracker.finish({"status": status, **self._last})
