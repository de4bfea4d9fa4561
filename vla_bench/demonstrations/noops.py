"""Actions in a demonstration that do nothing.  The public checkpoints never saw one: a model that has learnt to wait, waits."""

from __future__ import annotations

import numpy as np

from vla_bench.errors import UsageError

STILL = 1e-4  # length of the six motion numbers below which the arm is not asked to move


def kept_actions(actions: np.ndarray) -> np.ndarray:
    """Which steps of one demonstration (T, 7) are kept, (T,) bool.

    A step is dropped when it neither moves the arm nor changes the gripper.  Changes are seen from the last step that
    was kept, not from the step before, so the filter runs in order; before the first kept step any gripper will do.
    """
    actions = np.asarray(actions, np.float64)
    if actions.ndim != 2 or actions.shape[1] != 7 or not np.isfinite(actions).all():
        raise UsageError(f"a demonstration's actions must be finite numbers (T, 7), not {actions.shape}")
    moves = np.linalg.norm(actions[:, :6], axis=1) >= STILL
    kept = np.zeros(len(actions), bool)
    held = None  # gripper command of the last kept step
    for step, gripper in enumerate(actions[:, 6]):
        if moves[step] or (held is not None and gripper != held):
            kept[step], held = True, gripper
    return kept
