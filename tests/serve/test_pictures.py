"""What a client's picture becomes."""

import numpy as np
import pytest

from vla_bench.model.normalisation import axis_angle, proprio_state
from vla_bench.serve.observations import Sent, observation
from vla_bench.serve.pictures import frame, resized

from ..policies.remote.servers import DOWN

PICTURE = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)


@pytest.mark.parametrize("size", [64, None])
def test_a_picture_of_the_right_size_keeps_every_pixel(size):
    assert np.array_equal(frame(PICTURE, "it", size), PICTURE[::-1, ::-1])


def test_half_the_size_is_the_mean_of_four_pixels():
    blocks = PICTURE.reshape(32, 2, 32, 2, 3).astype(float).mean(axis=(1, 3))
    assert np.abs(resized(PICTURE, 32) - blocks).max() <= 1  # rounded twice: along rows, then columns


@pytest.mark.parametrize("size", [37, 128])
def test_other_sizes(size):
    found = frame(PICTURE, "it", size)
    assert found.shape == (size, size, 3) and found.dtype == np.uint8 and abs(found.mean() - PICTURE.mean()) < 2


def test_the_state_comes_back_as_it_was():
    """Through axis-angle, beyond pi as robosuite has it, to 1e-12."""
    quat = DOWN / np.linalg.norm(DOWN)
    for sign in (1, -1):
        state = proprio_state(np.array([0.1, -0.2, 0.9]), sign * quat, np.array([0.04, -0.04]))
        sent = Sent("push", {"agentview": PICTURE}, state)
        seen = observation(sent, None, 0, cameras=("agentview",), size=64, needs_state=True)
        again = proprio_state(seen.eef_pos, seen.eef_quat, seen.gripper_qpos)
        assert np.abs(again - state).max() < 1e-12 and np.linalg.norm(axis_angle(sign * quat)) > 3
