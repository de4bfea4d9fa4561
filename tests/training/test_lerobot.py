"""Training on a LeRobot data set: the same frames as of the HDF5 files that it was made of, within what a film loses."""

import json
import shutil

import numpy as np
import pytest

from vla_bench.errors import RecordError, UsageError
from vla_bench.interface.presets import NANO
from vla_bench.training.data import demo_files, demonstrations
from vla_bench.training.finetune import train
from vla_bench.training.frames import prepare_frames

from ..trainings import request

pytest.importorskip("pyarrow", reason="needs the extra `lerobot`")


@pytest.fixture(scope="module")
def dataset(data, tmp_path_factory):
    from vla_bench.demonstrations.lerobot.writing import write_lerobot

    out = tmp_path_factory.mktemp("lerobot") / "dataset"
    written = write_lerobot(demo_files(data), out)
    assert (written.episodes, written.frames) == (4, 40)  # a demonstration of two segments is two episodes
    return out


def test_frames_are_those_of_the_hdf5_files(dataset, frames):
    found = prepare_frames(demo_files(dataset), NANO.image_size, dataset / ".frames")
    for name in ("proprio", "actions"):
        assert np.array_equal(getattr(found, name).astype(np.float32), getattr(frames, name).astype(np.float32)), name
    assert np.array_equal(found.segment, frames.segment) and np.array_equal(found.ends, frames.ends)
    assert (found.instructions, found.suites, found.episodes) == (frames.instructions, frames.suites, frames.episodes)
    rows = np.arange(40)
    lost = np.square(found.images[rows].astype(float) - frames.images[rows]).mean(axis=(2, 3, 4))
    assert (10 * np.log10(255**2 / lost)).min() > 25
    assert np.isnan(found.targets).all()  # where objects are is not in a LeRobot data set


def test_a_training_runs_on_it(dataset, tmp_path):
    trained = train(request(dataset, tmp_path / "out", steps=2, suite="object"))
    assert trained.checkpoint is not None
    (file,) = json.loads((tmp_path / "out" / "data.json").read_text())["files"]
    assert file["used"] == 2 and file["file"] == f"{dataset}: pick up the milk and place it in the basket"


def test_it_is_prepared_again_when_any_of_its_files_changed(dataset, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy, ignore=shutil.ignore_patterns(".frames"))
    prepare_frames(demo_files(copy), 28, tmp_path / "cache")
    before = sorted((tmp_path / "cache").glob("[!.]*"))
    prepare_frames(demo_files(copy), 28, tmp_path / "cache")
    assert sorted((tmp_path / "cache").glob("[!.]*")) == before
    film = next(copy.glob("videos/*/*/*.mp4"))
    film.write_bytes(film.read_bytes() + b"\0" * 8)
    prepare_frames(demo_files(copy), 28, tmp_path / "cache")
    assert sorted((tmp_path / "cache").glob("[!.]*")) != before


def test_hdf5_files_and_data_sets_lie_side_by_side(data, dataset, tmp_path):
    (tmp_path / "libero_object").symlink_to(data / "libero_object")
    (tmp_path / "lerobot").symlink_to(dataset)
    assert len(demo_files(tmp_path)) == 2 and len(demonstrations(tmp_path, "object")) == 2
    with pytest.raises(UsageError, match="has no demonstrations of libero_goal, only of libero_object"):
        demonstrations(tmp_path, "goal")


def test_a_data_set_that_cannot_be_read_is_said_before_anything_is_loaded(dataset, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy, ignore=shutil.ignore_patterns(".frames"))
    shutil.rmtree(copy / "meta" / "episodes")
    with pytest.raises(RecordError, match="has no meta/episodes/chunk-000/file-000.parquet"):
        train(request(copy, tmp_path / "out", steps=1))
