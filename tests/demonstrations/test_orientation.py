"""Which way up images are stored: seen in the robot's movement, or said by the file or the user."""

import h5py
import numpy as np
import pytest

from vla_bench.demonstrations.layout import IMAGES
from vla_bench.demonstrations.orientation import Signs, order_by, signs
from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.errors import RecordError
from vla_bench.values import ImageOrder

from ..public_demos import moving, moving_file, public_file

HAND = ("obs/ee_pos", "obs/gripper_states")
STORED = {
    ImageOrder.OPENGL: lambda images: images,
    ImageOrder.OPENCV: lambda images: images[:, ::-1],
    ImageOrder.ROTATED: lambda images: images[:, ::-1, ::-1],
}


def stored(order, names=IMAGES):
    def change(arrays):
        for name in names:
            arrays[name] = STORED[order](arrays[name])

    return change


@pytest.mark.parametrize("order", STORED)
@pytest.mark.parametrize("said", ["opengl", "opencv", None])
def test_images_come_out_upside_down_whatever_the_file_says(tmp_path, order, said):
    attributes = {"macros_image_convention": said} if said else {}
    demos = UsableDemos(moving_file(tmp_path / "x_demo.hdf5", stored(order), **attributes))
    for seed, demo in enumerate(demos.read()):
        assert all(np.array_equal(demo[name], moving(seed=seed)[name]) for name in IMAGES)
    assert len(demos.converted) == (order is not ImageOrder.OPENGL)


def test_the_simulator_s_images_are_upside_down(calm):
    """The true cameras of LIBERO, and an arm that moves in them."""
    hand = [calm.demo[name] for name in HAND]
    for order, store in STORED.items():
        found = signs(*(store(calm.demo[name]) for name in IMAGES), *hand)
        assert order_by([found], "x") is order and found.wrist == (1 if order is ImageOrder.OPENGL else -1)


def test_without_movement_the_attribute_counts_and_the_option_more(tmp_path):
    path = public_file(tmp_path / "x_demo.hdf5", {"demo_0": 9}, 16)
    (plain,) = UsableDemos(path).read()
    with h5py.File(path, "r+") as file:
        file["data"].attrs["macros_image_convention"] = np.bytes_("opencv")
    (said,) = UsableDemos(path).read()
    (asked,) = UsableDemos(path, ImageOrder.ROTATED).read()
    for name in IMAGES:
        assert np.array_equal(said[name], plain[name][:, ::-1]) and np.array_equal(asked[name], plain[name][:, ::-1, ::-1])


@pytest.mark.parametrize("name", IMAGES)
def test_one_upright_camera_is_refused_unless_the_user_knows(tmp_path, name):
    path = moving_file(tmp_path / "x_demo.hdf5", stored(ImageOrder.ROTATED, [name]))
    with pytest.raises(RecordError, match=f"x_demo.hdf5: {name} is upright and .* upside down") as caught:
        list(UsableDemos(path).read())
    assert "--images" in caught.value.fix
    assert len(list(UsableDemos(path, ImageOrder.OPENGL).read())) == 2


def test_one_demonstration_of_five_does_not_refuse_the_others(tmp_path):
    path = moving_file(tmp_path / "x_demo.hdf5", count=5)
    with h5py.File(path, "r+") as file:
        wrist = file["data/demo_0/obs/eye_in_hand_rgb"]
        wrist[:] = wrist[:][:, ::-1]
    demos = UsableDemos(path)
    assert len(list(demos.read())) == 5 and not demos.left_out and not demos.converted


def test_moving_fingers_contradict_a_still_object():
    """As in rollouts that begin with a plate in the hand: the plate's edge is the still one, and only the gripper's moves."""
    held = moving()
    agentview, wrist, ee_pos, fingers = (held[name].copy() for name in (*IMAGES, *HAND))
    assert signs(agentview, wrist[:, ::-1], ee_pos, fingers).wrist == -1
    rests = np.abs(np.diff(fingers[:, 0], prepend=0.04)) > 0
    ee_pos[rests] = ee_pos[rests][0]
    wrist[rests] = 40
    for upper, expected in ((True, 1), (False, 0)):
        shown = (wrist if upper else wrist[:, ::-1]).copy()
        shown[rests, 2:10, 10:30] = np.random.default_rng(0).integers(0, 256, (rests.sum(), 8, 20, 3))
        assert signs(agentview, shown, ee_pos, fingers).wrist == expected


def test_mirrored_images_are_refused(tmp_path):
    def mirror(arrays):
        arrays["obs/agentview_rgb"] = arrays["obs/agentview_rgb"][:, :, ::-1]

    with pytest.raises(RecordError, match="mirrored"):
        list(UsableDemos(moving_file(tmp_path / "x_demo.hdf5", mirror)).read())


def test_one_wrist_camera_that_shows_a_still_object_decides_nothing():
    """As in one demonstration of five in which a plate is held and pushed: its edge is stiller than the gripper's."""
    usual, pushed, unclear = Signs(1, 1, 1), Signs(1, 1, -1), Signs(1, 1, 0)
    assert order_by([pushed, *[unclear] * 4], "x") is ImageOrder.OPENGL
    assert order_by([pushed, usual, usual], "x") is ImageOrder.OPENGL
    with pytest.raises(RecordError, match="upright"):
        order_by([pushed, pushed, pushed, unclear, unclear], "x")
    assert order_by([unclear, Signs(0, 0, 0)], "x") is ImageOrder.OPENGL and order_by([Signs(0, 0, 0)], "x") is None
    assert order_by([], "x") is None
