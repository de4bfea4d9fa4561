"""No-ops, as the reference defines them."""

import numpy as np
import pytest

from vla_bench.demonstrations.noops import kept_actions
from vla_bench.errors import VlaBenchError


def test_noops_are_the_references(shared):
    utils = np.load(shared("fixtures/utils.npz"))
    kept = kept_actions(utils["noop.actions"])
    assert np.array_equal(kept, ~utils["noop.skipped"])
    assert np.array_equal(utils["noop.actions"][kept], utils["noop.kept"])


def test_noops_by_hand():
    move, still, nudge = [0.5, 0, 0, 0, 0, 0], [0.0] * 6, [9e-5, 0, 0, 0, 0, 0]
    demo = [
        (still, 1),  # dropped: nothing was kept before, so its gripper says nothing
        (still, -1),  # dropped for the same reason, though its gripper differs from the step before
        (move, -1),  # kept
        (nudge, -1),  # dropped: too small
        (still, 1),  # kept: the gripper closes
        (still, 1),  # dropped
        ([1e-4, 0, 0, 0, 0, 0], 1),  # kept: not below the limit
        ([7e-5, 7e-5, 7e-5, 0, 0, 0], 1),  # kept: the length counts, not each number
        (still, -1),  # kept: opens
        (still, 1),  # kept: differs from the last kept step
    ]
    actions = np.array([[*arm, gripper] for arm, gripper in demo])
    assert kept_actions(actions).tolist() == [False, False, True, False, True, False, True, True, True, True]
    assert kept_actions(np.zeros((0, 7))).tolist() == []
    for wrong in (np.zeros(7), np.zeros((3, 6)), np.full((2, 7), np.nan)):
        with pytest.raises(VlaBenchError, match=r"\(T, 7\)"):
            kept_actions(wrong)
