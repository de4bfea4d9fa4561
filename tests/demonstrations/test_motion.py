"""Actions that are not LIBERO's changes of pose."""

import numpy as np
import pytest

from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.errors import RecordError

from ..public_demos import moving, moving_file


def test_a_few_outliers_are_cut_as_the_simulator_does(tmp_path):
    def change(arrays):
        arrays["actions"][5, 4] = 1.7
        arrays["actions"][9, 0] = -30

    demos = UsableDemos(moving_file(tmp_path / "x_demo.hdf5", change))
    actions, before = next(demos.read())["actions"], moving()["actions"]
    before[5, 4], before[9, 0] = 1, -1
    assert np.array_equal(actions, before) and demos.converted == {"actions cut to [-1, 1], as the simulator does": 2}


def where_the_arm_goes(arrays, origin=0.0):
    arrays["actions"][:, :3] = np.vstack([arrays["obs/ee_pos"][1:], arrays["obs/ee_pos"][-1:]]) + origin


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (where_the_arm_goes, r"demo_0: actions are absolute poses: row 0 has \("),
        (lambda arrays: where_the_arm_goes(arrays, np.array([0.6, 0, 0.9])), "absolute poses"),  # from the robot's base
        (lambda arrays: arrays["actions"].__setitem__((slice(10, 30), 0), 2.5), r"row 10: \(2.5, .*; 20 of 48 steps are beyond"),
        (lambda arrays: np.multiply(arrays["actions"], [0.03] * 6 + [1], out=arrays["actions"]), "another scale"),  # metres
        (lambda arrays: np.multiply(arrays["actions"], [30] * 6 + [1], out=arrays["actions"]), r"beyond \[-1, 1\]"),  # mm
    ],
)
def test_absolute_poses_and_other_scales_are_refused(tmp_path, change, complaint):
    with pytest.raises(RecordError, match=complaint) as caught:
        UsableDemos(moving_file(tmp_path / "x_demo.hdf5", change))
    assert "0.05 m" in caught.value.fix
