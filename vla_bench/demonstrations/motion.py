"""Whether a demonstration's actions are LIBERO's: changes of the end effector's pose, 1 being 5 cm or 0.5 rad a control step."""

from __future__ import annotations

import numpy as np

from vla_bench.errors import RecordError
from vla_bench.model.normalisation import GRIPPER

ROUNDING = 1e-6
MOST_BEYOND = 0.05  # share of the steps beyond [-1, 1] that are outliers; with more of them, the scale is another
# Translation a step by the action's number, m: LIBERO's controller is told 0.05, and in a step the arm goes a part of it.
SLOWEST, FASTEST = 0.001, 0.1
RELATED = 0.6  # correlation of actions and movement from which on they tell the scale
STEPS = 16  # fewer tell nothing
DELTAS = (
    "write LIBERO's actions: (target - obs/ee_pos) / 0.05 m, rotation vector from obs/ee_ori to the target / 0.5 rad, gripper"
)


def libero_motion(actions: np.ndarray, ee_pos: np.ndarray, segment: np.ndarray, where: str) -> tuple[np.ndarray, str | None]:
    """The first six numbers of the actions (T, 6), within [-1, 1], and what was changed, or None.

    actions: (T, 7).  ee_pos: (T, 3) m, before each action; neighbouring rows of one `segment` (T,) are consecutive in time.
    The simulator's controller cuts what is beyond [-1, 1].  Raises RecordError for absolute poses and another scale.
    """
    motion = np.asarray(actions[:, :GRIPPER], np.float64)
    here, then = _pairs(np.asarray(ee_pos, np.float64), segment)
    translation = motion[:-1, :3][np.diff(segment) == 0]
    if _absolute(translation, then):
        raise RecordError(
            f"{where}: actions are absolute poses: row 0 has {_numbers(motion[0, :3])} where obs/ee_pos is {_numbers(ee_pos[0])}",
            DELTAS,
        )
    beyond = (np.abs(motion) > 1 + ROUNDING).any(axis=1)
    if beyond.mean() > MOST_BEYOND:
        row = int(beyond.argmax())
        raise RecordError(
            f"{where}: actions, row {row}: {_numbers(motion[row])}; {beyond.sum()} of {len(motion)} steps are beyond [-1, 1]",
            DELTAS,
        )
    scale = _scale(np.clip(translation, -1, 1), then - here)
    if scale is not None and not SLOWEST < scale < FASTEST:
        raise RecordError(
            f"{where}: actions have another scale: the arm goes {scale:.2g} m a step for each 1, LIBERO's about 0.01", DELTAS
        )
    if not beyond.any():
        return motion, None
    return np.clip(motion, -1, 1), "actions cut to [-1, 1], as the simulator does"


def _pairs(ee_pos: np.ndarray, segment: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    together = np.diff(segment) == 0
    return ee_pos[:-1][together], ee_pos[1:][together]


def _absolute(translation: np.ndarray, then: np.ndarray) -> bool:
    """Whether the actions say where the arm is next, but for a constant: that of another origin."""
    if len(then) < STEPS or (spread := float(then.var(axis=0).sum())) < 1e-4:
        return False
    return float((translation - then).var(axis=0).sum()) < 0.3 * spread


def _scale(translation: np.ndarray, moved: np.ndarray) -> float | None:
    """m a step for each 1 of an action; None where actions and movement are not related enough to tell."""
    squares = (translation**2).sum()
    related = (translation * moved).sum()
    if len(moved) < STEPS or related <= RELATED * np.sqrt(squares * (moved**2).sum()) or not squares:
        return None
    return float(related / squares)


def _numbers(values: np.ndarray) -> str:
    return f"({', '.join(f'{value:.3g}' for value in values)})"
