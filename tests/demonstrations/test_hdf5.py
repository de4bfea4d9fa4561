"""Files of demonstrations: their layout, what others publish, and what is refused."""

import json
import signal
import subprocess
import sys
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest

from vla_bench.demonstrations.folder import DemoFolder
from vla_bench.demonstrations.hdf5 import IMAGES, LAYOUT, read_demos, write_demos
from vla_bench.demonstrations.noops import kept_actions
from vla_bench.demonstrations.recording import Ending
from vla_bench.errors import RecordError
from vla_bench.model.normalisation import axis_angle

from ..public_demos import public_file


def test_the_layout_is_libero_s(calm, world, tmp_path):
    path = tmp_path / "KITCHEN_SCENE1_do_It_demo.hdf5"
    write_demos(path, world.about(), [calm.demo])
    frames = len(calm.demo)
    assert calm.ending is Ending.SUCCESS and calm.counts.steps == frames
    with h5py.File(path) as file:
        assert set(file["data"].attrs) >= {"env_name", "problem_info", "bddl_file_content", "env_args", "macros_image_convention"}
        assert json.loads(file["data"].attrs["problem_info"])["language_instruction"] == world.task.language
        assert (file["data"].attrs["num_demos"], file["data"].attrs["total"]) == (1, frames)
        demo = file["data/demo_0"]
        assert demo.attrs["num_samples"] == frames and demo.attrs["seed"] == 5 and demo.attrs["pushes"] == 0
        assert not demo.attrs["disturbed"]
        assert np.array_equal(demo.attrs["init_state"], demo["states"][0]) and np.array_equal(
            world.sample(5).state, demo["states"][0]
        )
        xml = demo.attrs["model_file"]
        assert xml.startswith("<mujoco") and 'file="assets/' in xml and str(world.assets.root) not in xml
        wanted = {
            "actions": (7,),
            "states": world.state.shape,
            "robot_states": (9,),
            "rewards": (),
            "dones": (),
            "obs/agentview_rgb": (128, 128, 3),
            "obs/eye_in_hand_rgb": (128, 128, 3),
            "obs/ee_states": (6,),
            "obs/ee_pos": (3,),
            "obs/ee_ori": (3,),
            "obs/gripper_states": (2,),
            "obs/joint_states": (7,),
        }
        assert {name: demo[name].shape for name in LAYOUT} == {name: (frames, *row) for name, row in wanted.items()}
        for name in ("rewards", "dones"):
            assert demo[name].dtype == np.uint8 and demo[name][:].tolist() == [0] * (frames - 1) + [1]
        grip, pos, quat = np.split(demo["robot_states"][:], [2, 5], axis=1)
        assert np.array_equal(np.hstack([pos, axis_angle(quat)]), demo["obs/ee_states"])
        assert np.array_equal(np.hstack([demo["obs/ee_pos"], demo["obs/ee_ori"]]), demo["obs/ee_states"])
        assert np.array_equal(grip, demo["obs/gripper_states"])
        assert kept_actions(demo["actions"][:]).all() and np.abs(demo["actions"][:, :6]).max() <= 1
    (again,) = read_demos(path)
    assert again.instruction == world.task.language
    assert again.object_names == calm.demo.object_names == world.reset(0).scene.facts.of_interest
    assert all(np.array_equal(again[name], calm.demo[name]) for name in LAYOUT)
    assert not again.segment.any() and again.chunk_starts(8).tolist() == list(range(frames - 7))


def test_a_file_says_where_fixtures_stood(calm, world, tmp_path):
    path = tmp_path / "do_it_demo.hdf5"
    write_demos(path, world.about(), [calm.demo])
    (demo,) = read_demos(path, images=False)
    start = world.sample(5)
    assert np.array_equal(demo.start.state, start.state) and demo.start.fixtures.keys() == start.fixtures.keys()
    bodies = {body.get("name"): body for body in ElementTree.fromstring(demo.attributes["model_file"]).iter("body")}
    for name, pose in start.fixtures.items():
        assert np.array_equal(demo.start.fixtures[name], pose)
        assert np.array_equal([float(x) for x in bodies[f"{name}_main"].get("pos").split()], pose[:3])
    with h5py.File(path, "r+") as file:
        file["data/demo_0"].attrs["fixtures"] = '{"flat_stove_1": [0.1]}'
    with pytest.raises(RecordError, match="demo_0 does not say where it began"):
        _ = next(read_demos(path, images=False)).start
    with h5py.File(path, "r+") as file:
        del file["data/demo_0"].attrs["fixtures"]  # as in version 0.1
    (demo,) = read_demos(path, images=False)
    assert np.array_equal(demo.start.state, start.state) and demo.start.fixtures == {}


def test_libero_s_own_files_read_alike(tmp_path):
    frames = {"demo_10": 9, "demo_2": 5, "demo_0": 12}
    path = public_file(tmp_path / "LIVING_ROOM_SCENE2_put_the_Soup_away_demo.hdf5", frames)
    demos = list(read_demos(path))
    assert [(demo.name, len(demo)) for demo in demos] == [("demo_0", 12), ("demo_2", 5), ("demo_10", 9)]
    assert all(demo.instruction == "put the soup away" for demo in demos)
    assert [demo.chunk_starts(8).tolist() for demo in demos] == [[0, 1, 2, 3, 4], [], [0, 1]]
    assert demos[0].object_pos.shape == (12, 0, 3) and demos[0]["obs/agentview_rgb"].shape == (12, 128, 128, 3)
    redrawn = public_file(tmp_path / "turn_on_the_stove_demo.hdf5", frames, 256, attributes=False)
    assert next(read_demos(redrawn))["obs/eye_in_hand_rgb"].shape == (12, 256, 256, 3)
    assert set(LAYOUT) - set(next(read_demos(redrawn, images=False)).arrays) == set(IMAGES)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"gone": ["obs/joint_states"]}, "demo_10 has no obs/joint_states"),
        ({"obs/ee_states": np.zeros((9, 5))}, r"demo_10: obs/ee_states is \(9, 5\), not \(9, 6\)"),
        ({"robot_states": np.zeros((8, 9))}, r"demo_10: robot_states is \(8, 9\), not \(9, 9\)"),
        ({"actions": np.zeros((0, 7))}, r"demo_10 has no steps: actions is \(0, 7\)"),
        ({"actions": np.zeros(7)}, r"demo_10: actions is \(7,\)"),
        ({"obs/agentview_rgb": np.zeros((9, 128, 96, 3), np.uint8)}, "not square images"),
        ({"obs/agentview_rgb": np.zeros((9, 8, 8, 3), np.float32)}, "float32"),
        ({"added": {"obs/segment": np.zeros(5, int)}}, r"obs/segment \(5,\) or .* do not fit 9 frames"),
        ({"added": {"obs/segment": np.zeros(9)}}, "obs/segment"),
        ({"added": {"obs/object_pos": np.zeros((9, 2))}}, r"obs/object_pos \(9, 2\) do not fit"),
        ({"actions": np.full((9, 7), np.nan)}, "demo_10: actions, row 0: nan, and 8 more rows"),
    ],
)
def test_a_file_of_another_layout_is_refused(tmp_path, changed, complaint):
    path = public_file(tmp_path / "x_demo.hdf5", {"demo_10": 9}, **changed)
    with pytest.raises(RecordError, match=complaint):
        list(read_demos(path))


def test_a_damaged_file_is_refused(calm, world, tmp_path):
    path = tmp_path / "x_demo.hdf5"
    write_demos(path, world.about(), [calm.demo])
    whole = path.read_bytes()
    for cut in (0, 1000, len(whole) // 2):
        path.write_bytes(whole[:cut])
        with pytest.raises(RecordError, match="x_demo.hdf5"):
            list(read_demos(path))
    with h5py.File(path, "w"):
        pass
    with pytest.raises(RecordError, match="no group `data`"):
        list(read_demos(path))
    with pytest.raises(RecordError, match="not a readable HDF5 file"):
        list(read_demos(tmp_path / "absent_demo.hdf5"))


def test_a_file_that_cannot_be_written_says_so(calm, world, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(RecordError, match="cannot write .*x_demo.hdf5"):
        write_demos(tmp_path / "taken" / "x_demo.hdf5", world.about(), [calm.demo])


def test_a_file_killed_while_it_is_written_never_appears(tmp_path):
    """The process dies with the file open; whoever opens the folder next clears away what it left."""
    target = tmp_path / "parts" / "libero_spatial" / "x" / "attempt_0000.hdf5"
    die = (
        "import os, sys, pathlib; from vla_bench.demonstrations.hdf5 import write_demos\n"
        "write_demos(pathlib.Path(sys.argv[1]), {}, (os.kill(os.getpid(), 9) for _ in range(1)))"
    )
    done = subprocess.run([sys.executable, "-c", die, str(target)])
    assert done.returncode == -signal.SIGKILL and not target.exists() and len(list(target.parent.iterdir())) == 1
    DemoFolder(tmp_path, {}, "").close()
    assert not list(target.parent.iterdir())
