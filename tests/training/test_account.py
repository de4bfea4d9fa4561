"""What is left out of a training's demonstrations is said and counted; --strict refuses."""

from __future__ import annotations

import json
import logging
import re
from concurrent.futures import ThreadPoolExecutor

import h5py
import pytest

from vla_bench.checkpoints.checkpoint import load
from vla_bench.errors import RecordError
from vla_bench.training import frames
from vla_bench.training.data import demo_files
from vla_bench.training.finetune import train
from vla_bench.training.frames import prepare_frames
from vla_bench.training.recipe import RECIPES

from ..public_demos import moving_file
from ..trainings import request


def test_one_bad_file_is_left_out_and_counted(cli, tmp_path, caplog):
    """Twice: the second time, the images are prepared."""
    good = moving_file(tmp_path / "libero_object" / "pick_up_the_milk_demo.hdf5")
    unsigned = moving_file(
        tmp_path / "libero_goal" / "part_1" / "a_demo.hdf5",
        lambda arrays: arrays["actions"][:, 6].clip(0, out=arrays["actions"][:, 6]),
    )
    bad = moving_file(tmp_path / "libero_spatial" / "b_demo.hdf5", lambda arrays: arrays["actions"].fill(0), count=1)
    (tmp_path / "libero_goal" / "other.hdf5").touch()
    with h5py.File(good, "r+") as file:
        file["data/demo_0/obs/ee_states"][3, 1] = float("nan")
    options = ("--recipe", "nano-oft", "--steps", 1, "--batch", 2, "--device", "cpu")
    said = []
    for out in ("first", "second"):
        done = cli("train", "--data", tmp_path, *options, "--out", tmp_path / out)
        assert done.exit_code == 0, done.output
        said.append([record.getMessage() for record in caplog.records if record.levelno == logging.WARNING])
        caplog.clear()
    lines = said[0]
    assert said[0] == said[1] and len(lines) == 5
    assert f"left out: {good}: 1 of 2 demonstrations: demo_0: obs/ee_states, row 3: nan" in lines
    assert f"left out: {bad}: cannot use its one demonstration: demo_0: all of its 48 steps are no-ops" in lines
    assert f"converted: {unsigned}: gripper from 0 open, 1 closed (2 demonstrations)" in lines
    assert any(line.startswith("ignored: ") and "other.hdf5" in line for line in lines)
    assert lines[-1].startswith("data: 2 of 3 files, 3 of 4 demonstrations in them, 1")
    assert set(load(tmp_path / "first" / "checkpoint", device="cpu").statistics) == {
        "libero_object_no_noops",
        "libero_goal_no_noops",
    }
    for folder in ("first", "first/checkpoint"):
        table = json.loads((tmp_path / folder / "data.json").read_text())
        assert table["summary"] == lines[-1] and [file["used"] for file in table["files"]] == [2, 1, 0]
    refused = cli("train", "--data", tmp_path, *options, "--out", tmp_path / "third", "--strict")
    assert refused.exit_code == 6 and not (tmp_path / "third" / "state.pt").exists()
    assert re.match(r"--strict: .*demo_0: obs/ee_states, row 3: nan; and of 1 more files. data: 2 of 3", str(refused.exception))


def test_good_data_are_used_in_silence(data, tmp_path, caplog):
    train(request(data, tmp_path / "out", steps=1))
    assert not caplog.records and json.loads((tmp_path / "out" / "data.json").read_text())["files"][0]["left_out"] == {}


def test_where_nothing_is_left_the_first_file_says_why(tmp_path):
    for name in ("a", "b"):
        moving_file(tmp_path / f"{name}_demo.hdf5", lambda arrays: arrays["actions"].fill(0))
    files = demo_files(tmp_path)
    with pytest.raises(RecordError, match="none of 2 files can be used: .*a_demo.hdf5: cannot use any of its 2 demonstrations"):
        prepare_frames(files, 28, tmp_path / ".frames")
    (tmp_path / "c_demo.hdf5").symlink_to(tmp_path / "nowhere")
    with pytest.raises(RecordError, match="c_demo.hdf5 is not a readable HDF5 file"):
        prepare_frames([tmp_path / "c_demo.hdf5"], 28, tmp_path / ".frames")


def test_a_refused_file_is_tried_again_but_not_by_processes_that_wait_for_the_first(tmp_path, monkeypatch):
    """Permissions may change without a trace in the file's time; processes of one training must not write side by side."""
    files = [moving_file(tmp_path / f"{name}_demo.hdf5", count=1) for name in ("a", "b")]
    opened = h5py.File

    def forbidden(path, *mode):
        if path == files[0]:
            raise PermissionError("not yours")
        return opened(path, *mode)

    monkeypatch.setattr(frames, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
    monkeypatch.setattr(h5py, "File", forbidden)
    assert [file.used for file in prepare_frames(files, 28, tmp_path / ".frames").files] == [0, 1]
    monkeypatch.setattr(h5py, "File", opened)
    assert [file.used for file in prepare_frames(files, 28, tmp_path / ".frames", retry=False).files] == [0, 1]
    assert [file.used for file in prepare_frames(files, 28, tmp_path / ".frames").files] == [1, 1]


def test_a_file_of_another_name_is_named(tmp_path):
    path = moving_file(tmp_path / "milk.hdf5")
    with pytest.raises(RecordError, match="no demonstrations .*, but .*milk.hdf5") as caught:
        demo_files(tmp_path)
    assert caught.value.fix == f"mv {path} {tmp_path / 'milk_demo.hdf5'}" and demo_files(path) == [path]


def test_demonstrations_shorter_than_a_chunk_are_refused(tmp_path):
    def short(arrays):
        for name in arrays:
            arrays[name] = arrays[name][:6]

    moving_file(tmp_path / "libero_object" / "a_demo.hdf5", short)
    assert not RECIPES["paper"].fill_ends
    with pytest.raises(RecordError, match="no demonstration has 8 steps"):
        train(request(tmp_path, tmp_path / "out", "nano-lightvla", fill_ends=False))
