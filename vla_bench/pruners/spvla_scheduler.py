"""SP-VLA's scheduler: a step of an arm that moves on steadily may be extrapolated, the forward pass being skipped."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

BUFFER = 6  # actions remembered
FROM_MODEL = 4  # of those, at least so many must be the model's own
RIDGE = 1e-4
REACH = 0.9  # no translation is extrapolated beyond
XYZ = slice(0, 3)


@dataclass
class ActionHistory:
    """The last executed actions of an episode, (7,) each, and which of them came from the model."""

    actions: deque[np.ndarray] = field(default_factory=lambda: deque(maxlen=BUFFER))
    from_model: deque[bool] = field(default_factory=lambda: deque(maxlen=BUFFER))
    extrapolating: bool = False  # the present query is answered with a cached action

    def add(self, actions: np.ndarray) -> None:
        """Actions (T, 7) are executed."""
        self.actions.extend(np.array(actions))
        self.from_model.extend([not self.extrapolating] * len(actions))

    @property
    def speed(self) -> float:
        """|dz| of the last action; 0 before the first."""
        return abs(float(self.actions[-1][2])) if self.actions else 0.0


def may_skip(past: ActionHistory, z_xy_rate: float, z_max: float, step_skip: int) -> bool:
    """Whether the next step may be extrapolated: the last `step_skip` actions moved flatly, |dz| < z_xy_rate * max(|dx|, |dy|)
    and |dz| < z_max, and enough of the last six came from the model."""
    if len(past.actions) < BUFFER or sum(past.from_model) < FROM_MODEL:
        return False
    x, y, z = np.abs(np.stack(past.actions)[BUFFER - step_skip :, XYZ]).T
    return bool(((z < z_xy_rate * np.maximum(x, y)) & (z < z_max)).all())


def extrapolate(history: np.ndarray) -> np.ndarray:
    """The action (7,) behind (n, 7) earlier ones, n > 1: every translation continues its ridge line over time (both coefficients
    penalised), within +-0.9 and no further from the last one than any two neighbours were; rotation and gripper stay."""
    moves = history[:, XYZ]
    line = np.stack([np.arange(len(moves)), np.ones(len(moves))], axis=1)
    slope, offset = np.linalg.solve(line.T @ line + RIDGE * np.eye(2), line.T @ moves)
    step = np.abs(np.diff(moves, axis=0)).max(axis=0)
    ahead = np.clip(slope * len(moves) + offset, -REACH, REACH)
    action = history[-1].copy()
    action[XYZ] = np.clip(ahead, moves[-1] - step, moves[-1] + step)
    return action
