"""Conversion between the model's numbers, in [-1, 1], and the robot's, by a checkpoint's statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vla_bench.errors import CheckpointError, ModelError, UsageError, nearest
from vla_bench.model.dataset_keys import FIX, find_key

ACTION_DIM = 7  # dx dy dz, three rotations, gripper
PROPRIO_DIM = 8  # end effector position (3) m, its axis-angle (3) rad, gripper fingers (2) m
GRIPPER = 6
LARGEST = 1e9  # of a bound, in the robot's units
EPS = 1e-8  # the reference's, for a range of zero
# What the reference calls its types of normalisation, and the two entries of the statistics that become -1 and 1.
BOUNDS = {"bounds": ("min", "max"), "bounds_q99": ("q01", "q99")}


@dataclass(frozen=True, eq=False)
class Statistics:
    """What becomes -1 and 1 of one data set's actions and proprioception, float64: the 1st and 99th percentile, as the
    reference has it for LIBERO, or the least and greatest value where the entry says `"normalization": "bounds"`.

    action_mask: which action dimensions are normalised at all; LIBERO's entries leave the gripper out.
    proprio_low, proprio_high: None where the data set had no proprioception.
    proprio_mask: as `action_mask`; None where all are scaled.
    """

    action_low: np.ndarray  # (7,)
    action_high: np.ndarray  # (7,)
    action_mask: np.ndarray  # (7,) bool
    proprio_low: np.ndarray | None = None  # (8,)
    proprio_high: np.ndarray | None = None  # (8,)
    proprio_mask: np.ndarray | None = None  # (8,) bool

    @classmethod
    def parse(cls, entry: object, key: str) -> Statistics:
        """One entry of `dataset_statistics.json`, or of `norm_stats` in `config.json`.  Raises CheckpointError.

        A mask may be missing: then every dimension is scaled, as in the reference, whose data loader leaves it out.
        """
        if not isinstance(entry, Mapping):
            raise _damaged(key, f"not a table but {entry!r:.60}")
        kind = entry.get("normalization", "bounds_q99")
        if kind not in BOUNDS:
            raise _damaged(key, f"its normalization must be one of {', '.join(BOUNDS)}, not {kind!r:.60}")
        action_low, action_high = _bounds(entry, "action", BOUNDS[kind], ACTION_DIM, key)
        mask = _mask(entry["action"], "action", ACTION_DIM, key)
        if _without_proprio(entry.get("proprio")):
            return cls(action_low, action_high, mask)
        low, high = _bounds(entry, "proprio", BOUNDS[kind], PROPRIO_DIM, key)
        return cls(action_low, action_high, mask, low, high, _mask(entry["proprio"], "proprio", PROPRIO_DIM, key))


def choose_statistics(table: Mapping[str, object], libero_name: str, requested: str | None = None) -> tuple[str, Statistics, str]:
    """The entry of `table` to use for a suite: its key, its content, and why it was chosen.

    The requested key, or the one that `find_key` finds.  Raises UsageError for a requested key that there is not,
    CheckpointError where none can be found.
    """
    if not isinstance(table, Mapping) or not table:
        raise CheckpointError("the checkpoint has no normalisation statistics", _fetch("dataset_statistics.json"))
    keys = [str(key) for key in table]
    if requested is not None and requested not in table:
        hint = nearest(requested, keys)
        raise UsageError(f'no statistics called "{requested}".{hint} The checkpoint has: {", ".join(keys)}', FIX)
    key, why = find_key(keys, libero_name) if requested is None else (requested, "asked for")
    statistics = Statistics.parse(table[key], key)
    if "mask" not in table[key]["action"]:
        why += "; it has no mask, so all seven dimensions are scaled"
    return key, statistics, why


def normalise_proprio(state: np.ndarray, statistics: Statistics) -> np.ndarray:
    """(..., 8) states -> [-1, 1], clipped, float64."""
    low, high = statistics.proprio_low, statistics.proprio_high
    if low is None or high is None:
        raise CheckpointError("the statistics have no proprioception, and the model reads it", _fetch("dataset_statistics.json"))
    values = _finite(state, PROPRIO_DIM, "a state")
    scaled = 2 * (values - low) / (high - low + EPS) - 1
    mask = statistics.proprio_mask
    return np.clip(scaled if mask is None else np.where(mask, scaled, values), -1, 1)


def normalise_actions(actions: np.ndarray, statistics: Statistics) -> np.ndarray:
    """(..., 7) actions as the data sets store them -> the model's training targets, float64.

    Clipped to [-1, 1]; the gripper stays as it is.  A dimension that never moved has nothing to learn and becomes 0.
    """
    values = _finite(actions, ACTION_DIM, "an action")
    low, high = statistics.action_low, statistics.action_high
    scaled = np.where(low == high, 0, np.clip(2 * (values - low) / (high - low + EPS) - 1, -1, 1))
    return np.where(statistics.action_mask, scaled, values)


def unnormalise_actions(actions: np.ndarray, statistics: Statistics) -> np.ndarray:
    """(..., 7) actions of the model -> actions as the data sets store them, float64.

    Not clipped, as in the reference: an action outside of the data set's range stays outside.
    """
    values = _finite(actions, ACTION_DIM, "an action")
    low, high = statistics.action_low, statistics.action_high
    return np.where(statistics.action_mask, 0.5 * (values + 1) * (high - low + EPS) + low, values)


def env_actions(actions: np.ndarray) -> np.ndarray:
    """(..., 7) as the data sets store them -> as the simulator takes them.

    The gripper goes from 1 open, 0 closed to -1 open, +1 closed; 0.5 is neither and becomes 0.
    """
    values = _finite(actions, ACTION_DIM, "an action").copy()
    values[..., GRIPPER] = np.sign(1 - 2 * values[..., GRIPPER])
    return values


def dataset_actions(actions: np.ndarray) -> np.ndarray:
    """(..., 7) as a demonstration recorded them, for the simulator -> as the data sets store them: `env_actions` backwards."""
    values = _finite(actions, ACTION_DIM, "an action").copy()
    values[..., GRIPPER] = 1 - np.clip(values[..., GRIPPER], 0, 1)
    return values


def axis_angle(quat: np.ndarray) -> np.ndarray:
    """(..., 4) unit quaternions xyzw -> (..., 3) axis times angle, rad.

    As robosuite does it: the angle is not wrapped, so w < 0 gives one above pi, and q and -q differ.
    """
    values = _finite(quat, 4, "a quaternion")
    w = np.clip(values[..., 3:], -1, 1)
    sine = np.sqrt(1 - w * w)
    turned = sine > 0  # no rotation has no axis
    return np.where(turned, values[..., :3] * 2 * np.arccos(w) / np.where(turned, sine, 1), 0)


def quaternion(axis_angle: np.ndarray) -> np.ndarray:
    """The inverse of `axis_angle`: (..., 3) -> (..., 4) xyzw."""
    values = _finite(axis_angle, 3, "an axis-angle")
    angle = np.linalg.norm(values, axis=-1, keepdims=True)
    axis = values / np.where(angle > 0, angle, 1)
    return np.concatenate([axis * np.sin(angle / 2), np.cos(angle / 2)], axis=-1)


def proprio_state(eef_pos: np.ndarray, eef_quat: np.ndarray, gripper_qpos: np.ndarray) -> np.ndarray:
    """The robot's proprioception, not normalised, (8,) float64: position (3,) m, axis-angle (3,) rad, gripper fingers (2,) m."""
    return _finite(np.concatenate([eef_pos, axis_angle(eef_quat), gripper_qpos]), PROPRIO_DIM, "a state")


def _bounds(
    entry: Mapping[str, object], part: str, names: tuple[str, str], length: int, key: str
) -> tuple[np.ndarray, np.ndarray]:
    table = entry.get(part)
    if not isinstance(table, Mapping):
        raise _damaged(key, f"it has no {part}")
    bounds = []
    for name in names:
        try:
            values = np.array(table[name], np.float64)
        except (KeyError, TypeError, ValueError) as error:
            raise _damaged(key, f"{part}.{name} is missing or not a list of numbers") from error
        if values.shape != (length,) or not (np.abs(values) <= LARGEST).all():
            raise _damaged(key, f"{part}.{name} must be {length} finite numbers up to {LARGEST:g}, not {values.tolist()!r:.200}")
        bounds.append(values)
    low, high = bounds
    if (low > high).any():
        raise _damaged(key, f"{part}.{names[0]} lies above {part}.{names[1]} in dimension {int(np.argmax(low > high))}")
    return low, high


def _mask(part: Mapping[str, object], name: str, length: int, key: str) -> np.ndarray:
    """Which dimensions are scaled, (length,) bool; writers spell it true or false, or 1 or 0."""
    given = part.get("mask", [True] * length)
    if not isinstance(given, Sequence) or len(given) != length or any(value not in (0, 1) for value in given):
        raise _damaged(key, f"{name}.mask must be {length} times true or false, not {given!r:.60}")
    return np.array(given, bool)


def _without_proprio(table: object) -> bool:
    """Data sets without proprioception have either no entry or zeros in the shape of an action."""
    if table is None:
        return True
    return isinstance(table, Mapping) and all(table.get(name) == [0.0] * ACTION_DIM for name in ("q01", "q99"))


def _damaged(key: str, what: str) -> CheckpointError:
    return CheckpointError(f'statistics "{key}" cannot be used: {what}', _fetch("dataset_statistics.json"))


def _fetch(name: str) -> str:
    return f"hf download REPO {name} --local-dir CHECKPOINT"


def _finite(values: np.ndarray, length: int, what: str) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.ndim == 0 or array.shape[-1] != length:
        raise ModelError(f"{what} has {length} numbers, not the shape {array.shape}")
    if not np.isfinite(array).all():
        raise ModelError(
            f"{what} has a number that is not finite: {array[~np.isfinite(array).all(axis=-1)].reshape(-1, length)[0]}"
        )
    return array
