"""Actions as a policy server answers them, checked, and with the gripper of LIBERO."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vla_bench.errors import WireError
from vla_bench.policies.base import ACTION_DIM

ACTIONS, ACTION = "actions", "action"  # a server of vla-eval may use either name
LONGEST = 1024  # steps of a chunk


def read_actions(answer: Mapping[str, object]) -> np.ndarray:
    """The actions of an answer, (7,) or (T, 7) float64, the gripper -1 (open) or +1 (close).  Raises WireError."""
    found = answer.get(ACTIONS, answer.get(ACTION))
    if found is None:
        raise WireError(f"an answer without {ACTIONS}: it has {', '.join(sorted(map(str, answer)))[:200] or 'nothing'}")
    try:
        actions = np.array(found)
    except ValueError:
        raise WireError(f"the actions are rows of unequal length: {str(found):.100}") from None
    if actions.dtype.kind not in "fiu":
        raise WireError(f"the actions are {actions.dtype}, not numbers: {str(found):.100}")
    if actions.shape[-1:] != (ACTION_DIM,) or actions.ndim > 2 or not 0 < len(actions) <= LONGEST:
        raise WireError(f"the actions have shape {actions.shape}, not ({ACTION_DIM},) or (T, {ACTION_DIM})")
    actions = actions.astype(np.float64)
    if not np.isfinite(actions).all():
        raise WireError(f"the actions are not finite: {actions[~np.isfinite(actions).all(axis=-1)][:1].tolist()}")
    actions[..., -1] = np.where(actions[..., -1] < 0, -1.0, 1.0)
    return actions
