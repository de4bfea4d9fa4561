"""`dataset_statistics.json`: statistics of actions and robot states, as in the public checkpoints."""

from __future__ import annotations

import numpy as np

from vla_bench.model.normalisation import ACTION_DIM

MOMENTS = ("mean", "std", "min", "max", "q01", "q99")


def dataset_statistics(actions: np.ndarray, proprio: np.ndarray, episodes: int, normalization: str) -> dict[str, object]:
    """One entry, over all transitions: actions (N, 7) with the gripper 1 open, 0 closed; proprio (N, 8).

    normalization: the statistics by which a model is scaled, "bounds" or "bounds_q99".
    """
    gripper_left_out = [True] * (ACTION_DIM - 1) + [False]
    return {
        "normalization": normalization,
        "action": {**_moments(actions), "mask": gripper_left_out},
        "proprio": _moments(proprio),
        "num_transitions": len(actions),
        "num_trajectories": episodes,
    }


def _moments(values: np.ndarray) -> dict[str, list[float]]:
    low, high = np.quantile(values, [0.01, 0.99], axis=0)
    moments = (values.mean(axis=0), values.std(axis=0), values.min(axis=0), values.max(axis=0), low, high)
    return {name: row.tolist() for name, row in zip(MOMENTS, moments, strict=True)}
