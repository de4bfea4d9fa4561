"""Finds no-ops in demonstrations.  The public checkpoints were trained without them: a model that learns to wait may not move."""

from __future__ import annotations

import numpy as np

from vla_bench.errors import UsageError

STILL = 1e-4  # norm of the six motion components below which an action does not move the arm


def kept_actions(actions: np.ndarray) -> np.ndarray:
    """Which steps of one demonstration (T, 7) are kept, (T,) bool.

    A step is dropped when it neither moves the arm nor changes the gripper.  Changes are relative to the last
    kept step, not to the step before; before the first kept step the gripper command does not count.  Raises UsageError.
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
