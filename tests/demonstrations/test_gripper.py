"""The gripper's commands of other data sets: turned into LIBERO's where the fingers tell, refused where not."""

import numpy as np
import pytest

from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.errors import RecordError

from ..public_demos import moving, moving_file

COMMANDS = {  # closed (bool) -> command
    "RLDS: 1 open, 0 closed": lambda closed: 1.0 - closed,
    "0 open, 1 closed": lambda closed: 1.0 * closed,
    "turned round": lambda closed: 1.0 - 2 * closed,
    "weak": lambda closed: np.where(closed, 0.3, -0.2),
    "between 0 and 1": lambda closed: np.where(closed, 0.95, 0.04),
}


@pytest.mark.parametrize("convention", COMMANDS)
def test_the_fingers_tell_what_a_command_means(tmp_path, convention):
    def change(arrays):
        arrays["actions"][:, 6] = COMMANDS[convention](arrays["actions"][:, 6] > 0)

    demos = UsableDemos(moving_file(tmp_path / "x_demo.hdf5", change))
    for seed, demo in enumerate(demos.read()):
        assert np.array_equal(demo["actions"][:, 6], moving(seed=seed)["actions"][:, 6])
    (note,) = demos.converted
    assert "gripper" in note and demos.converted[note] == 2


def test_libero_s_own_commands_stay_in_silence(tmp_path):
    demos = UsableDemos(moving_file(tmp_path / "x_demo.hdf5"))
    assert not demos.converted and set(next(demos.read())["actions"][:, 6]) == {-1, 1}


def test_a_command_of_0_leaves_the_gripper_as_it_was(tmp_path):
    def change(arrays):
        arrays["actions"][1:3, 6] = arrays["actions"][20:24, 6] = 0  # while it is open, and while it is closed

    demo = next(UsableDemos(moving_file(tmp_path / "x_demo.hdf5", change)).read())
    assert np.array_equal(demo["actions"][:, 6], moving()["actions"][:, 6])


def test_a_gripper_that_is_never_closed(tmp_path):
    """1 all the time is open for wide fingers, as the RLDS copies have it, and closed for others, as LIBERO has it."""

    def change(width):
        def changed(arrays):
            arrays["actions"][:, 6] = 1
            arrays["obs/gripper_states"][:] = [width / 2, -width / 2]

        return changed

    for width, command in ((0.08, -1), (0.03, 1)):
        demo = next(UsableDemos(moving_file(tmp_path / "x_demo.hdf5", change(width))).read())
        assert set(demo["actions"][:, 6]) == {command}


@pytest.mark.parametrize(
    ("commands", "fingers", "complaint"),
    [
        (lambda closed: 1.0 * closed, lambda fingers: fingers * 0 + 0.02, "do not tell which of them opens"),
        (lambda closed: 1.0 * closed, lambda fingers: fingers * 1000, "do not tell which of them opens"),
        (lambda closed: 0.04 * closed, lambda fingers: fingers, "lie between 0 and 0.04, neither open nor closed"),
        (lambda closed: 255.0 * closed, lambda fingers: fingers, "row 15: the gripper's command is 255, outside of -1 to 1"),
    ],
)
def test_what_nobody_can_tell_is_refused(tmp_path, commands, fingers, complaint):
    def change(arrays):
        arrays["actions"][:, 6] = commands(arrays["actions"][:, 6] > 0)
        arrays["obs/gripper_states"] = fingers(arrays["obs/gripper_states"])

    with pytest.raises(RecordError, match=complaint) as caught:
        UsableDemos(moving_file(tmp_path / "x_demo.hdf5", change))
    assert "x_demo.hdf5" in str(caught.value) and "demo_0" in str(caught.value) and "-1 open" in caught.value.fix
