"""What is sent: compared with what the harnesses of vla-eval and openpi compute from the same numbers."""

import math

import numpy as np
import pytest
from PIL import Image

from vla_bench.policies.remote.observation import Wanted, for_openpi, for_vla_eval, state

from .servers import CAMERAS, DOWN, observation


def test_pictures_are_turned_and_the_scene_comes_first():
    seen = observation()
    images = for_vla_eval(seen, CAMERAS, Wanted(wrist=True))["images"]
    assert list(images) == ["agentview", "wrist"]
    for name, camera in zip(images, CAMERAS, strict=True):
        assert np.array_equal(images[name], seen.images[camera][::-1, ::-1])


def test_the_state_is_as_robosuite_has_it_unless_the_shortest_turn_is_asked_for():
    seen = observation()
    own = for_vla_eval(seen, CAMERAS, Wanted(state=True))["states"]
    x, y, z, w = DOWN / np.linalg.norm(DOWN)
    angle = 2 * math.acos(w)
    assert own.shape == (8,) and np.allclose(own[:3], seen.eef_pos) and np.allclose(own[6:], seen.gripper_qpos)
    assert np.allclose(own[3:6], np.array([x, y, z]) * angle / math.sqrt(1 - w * w)) and own[3] > 3.19
    flipped = state(seen, shortest_turn=True)
    assert flipped[3] == pytest.approx(own[3] - 2 * math.pi, abs=1e-3) and flipped[3] > -math.pi
    upright = observation()
    object.__setattr__(upright, "eef_quat", -upright.eef_quat)
    assert np.allclose(state(upright, True), state(upright)) and np.allclose(state(upright), flipped)


def test_openpi_receives_what_its_own_client_sends():
    """`resize_with_pad` of openpi_client.image_tools, for square pictures."""
    seen = observation()
    sent = for_openpi(seen, CAMERAS)
    turned = Image.fromarray(np.ascontiguousarray(seen.images[CAMERAS[1]][::-1, ::-1]))
    assert np.array_equal(sent["observation/wrist_image"], np.array(turned.resize((224, 224), resample=Image.BILINEAR)))
    assert sent["observation/image"].shape == (224, 224, 3) and sent["observation/image"].dtype == np.uint8
    assert np.array_equal(sent["observation/state"], state(seen)) and sent["prompt"] == seen.instruction
