"""The values of `--data`: folders, links, one file, and incomplete demonstrations."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vla_bench.checkpoints.checkpoint import load
from vla_bench.errors import RecordError
from vla_bench.training.data import demo_files
from vla_bench.training.finetune import train

from ..public_demos import public_file
from ..trainings import request


def test_demonstration_files(tmp_path):
    """Links are followed, also in loops; a file is one; a missing folder is an error."""
    disk, demos = tmp_path / "disk", tmp_path / "demos"
    (disk / "goal").mkdir(parents=True)
    demos.mkdir()
    file = public_file(disk / "goal" / "x_demo.hdf5", {"demo_0": 9})
    (demos / "libero_goal").symlink_to(disk / "goal")
    (disk / "goal" / "round").symlink_to(demos)
    assert demo_files(demos) == [demos / "libero_goal" / "x_demo.hdf5"] and demo_files(file) == [file]
    with pytest.raises(RecordError, match="demo does not exist"):
        demo_files(tmp_path / "demo")
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="empty holds no demonstrations"):
        demo_files(tmp_path / "empty")


def test_one_file_is_trained_on_and_its_images_are_prepared_beside_it(data, tmp_path):
    (tmp_path / "libero_object").mkdir()
    file = shutil.copy(demo_files(data)[0], tmp_path / "libero_object")
    done = train(request(Path(file), tmp_path / "out", steps=1))
    assert set(load(done.checkpoint, device="cpu").statistics) == {"libero_object_no_noops"}
    assert (tmp_path / "libero_object" / ".frames").is_dir()


def test_incomplete_demonstrations_are_warned_of(data, tmp_path, caplog):
    demos = tmp_path / "demos"
    (demos / "parts").mkdir(parents=True)
    (demos / "demos.json").touch()
    with pytest.raises(RecordError, match="no task .* is complete"):
        demo_files(demos)
    shutil.copytree(data / "libero_object", demos / "libero_object")
    train(request(tmp_path, tmp_path / "out", steps=1))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [str(demos)]
    (demos / "parts").rmdir()
    train(request(tmp_path, tmp_path / "again", steps=1))
    assert len(caplog.records) == 1
