"""Recorded observations: what ships, what a file keeps, and what demonstrations give."""

from __future__ import annotations

import numpy as np
import pytest

from vla_bench.demonstrations.layout import IMAGES
from vla_bench.errors import RecordError, UsageError
from vla_bench.measure.recorded import SHIPPED, read_observations, write_observations
from vla_bench.model.normalisation import axis_angle, quaternion

from ..public_demos import moving, moving_file, public_file


def test_what_ships_is_queries_in_a_row_of_all_suites():
    episodes = read_observations()
    assert {seen[0].episode.suite for seen in episodes} == {"spatial", "object", "goal", "long"} and len(episodes) == 16
    for seen in episodes:
        assert [o.step for o in seen] == [0, 8, 16, 24, 32, 40] and len({o.episode for o in seen}) == 1
        assert seen[0].episode.init_state < 0  # from no official start
        assert all(len(o.images) == 2 and image.shape == (128, 128, 3) for o in seen for image in o.images.values())
        assert [len(o.path) for o in seen] == [0, 8, 8, 8, 8, 8]
        assert all(np.array_equal(o.path[-1], o.eef_pos) for o in seen[1:])


def test_a_file_keeps_everything(tmp_path):
    episodes = read_observations()[:2]
    write_observations(tmp_path / "some.npz", episodes)
    again = read_observations(tmp_path / "some.npz")
    for left, right in zip(sum(episodes, []), sum(again, []), strict=True):
        assert (left.episode, left.step, left.instruction) == (right.episode, right.step, right.instruction)
        for name in ("eef_pos", "eef_quat", "gripper_qpos", "path"):
            assert np.array_equal(getattr(left, name), getattr(right, name))
        assert all(np.array_equal(left.images[camera], right.images[camera]) for camera in left.images)


def test_files_that_hold_none_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", images=np.zeros(3))
    (tmp_path / "broken.npz").write_bytes(SHIPPED.read_bytes()[:1000])
    for name in ("other.npz", "broken.npz", "missing.npz"):
        with pytest.raises(RecordError, match=name):
            read_observations(tmp_path / name)
    with pytest.raises(UsageError, match="no demonstrations"):
        read_observations(tmp_path)


def test_demonstrations_in_a_folder_that_says_more_are_their_suites_too(tmp_path):
    (tmp_path / "libero_goal_no_noops").mkdir()
    public_file(tmp_path / "libero_goal_no_noops" / "turn_on_the_stove_demo.hdf5", {"demo_0": 9})
    ((first, second),) = read_observations(tmp_path, suites=("goal",))
    assert first.episode.suite == "goal" and (first.step, second.step) == (0, 8)


def test_demonstrations_of_others_are_brought_to_libero_s_conventions_and_it_is_said(tmp_path, caplog):
    def turn(arrays):
        for name in IMAGES:
            arrays[name] = arrays[name][:, ::-1, ::-1]

    moving_file(tmp_path / "libero_goal" / "turn_on_the_stove_demo.hdf5", turn)
    (first, *_), *_ = read_observations(tmp_path, suites=("goal",))
    assert all(np.array_equal(image, moving()[name][0]) for name, image in zip(IMAGES, first.images.values(), strict=True))
    assert "turned by 180 degrees" in caplog.text


def test_quaternions_come_back_from_axis_and_angle():
    quats = np.random.default_rng(0).normal(size=(50, 4))
    quats /= np.linalg.norm(quats, axis=1, keepdims=True)
    assert np.allclose(quaternion(axis_angle(quats)), quats, atol=1e-12)
    assert np.array_equal(quaternion(np.zeros(3)), [0, 0, 0, 1])
