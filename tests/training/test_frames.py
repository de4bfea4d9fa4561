"""Demonstrations prepared for training: what evaluation shows, once, where it may be written."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from vla_bench.demonstrations.hdf5 import write_demos
from vla_bench.model.images import centre_crop, prepare
from vla_bench.training.finetune import train
from vla_bench.training.frames import prepare_frames

from ..trainings import TASK, demonstration, request


def test_frames_are_what_evaluation_shows_before_the_crop(data, frames):
    assert frames.images.shape == (40, 2, 112, 112, 3) and frames.episodes == 2  # 2 x (22 - 2 that do nothing)
    frame = demonstration(1)["obs/eye_in_hand_rgb"][0]
    assert np.array_equal(centre_crop(frames.images[np.array([20])][0, 1]), prepare(frame, 112))
    assert set(frames.actions[:, 6]) == {0.0, 1.0} and frames.actions[0, 6] == 1.0  # 1 is open
    assert frames.instructions == (TASK.replace("_", " "),)
    assert np.flatnonzero(frames.ends).tolist() == [19, 39] and len(set(frames.segment)) == 4
    assert np.isfinite(frames.targets[:, :2]).all() and np.isnan(frames.targets[:, 2]).all()


def test_only_what_changed_is_prepared_again(data, tmp_path):
    files = [tmp_path / f"task{i}_demo.hdf5" for i in range(2)]
    for i, file in enumerate(files):
        write_demos(file, {}, [demonstration(i)])
    first = prepare_frames(files, 28, tmp_path / "cache")
    before = sorted((tmp_path / "cache").glob("[!.]*"))
    write_demos(files[1], {}, [demonstration(2), demonstration(3)])
    second = prepare_frames(files, 28, tmp_path / "cache")
    after = sorted((tmp_path / "cache").glob("[!.]*"))
    assert len(set(before) & set(after)) == 1 and len(after) == 2
    assert (first.episodes, second.episodes, len(second.actions)) == (2, 3, 60)
    rows = np.array([59, 0, 25, 19, 20])
    alone = [prepare_frames([file], 28, tmp_path / "cache").images for file in files]
    picked = [alone[int(row >= 20)][np.array([row if row < 20 else row - 20])][0] for row in rows]
    assert np.array_equal(second.images[rows], np.stack(picked))


def test_read_only_demonstrations_are_prepared_elsewhere(data, tmp_path, monkeypatch):
    shutil.copytree(data / "libero_object", tmp_path / "demos" / "libero_object")
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, *mode: "demos" not in Path(path).parts and allowed(path, *mode))
    train(request(tmp_path / "demos", tmp_path / "out", steps=1))
    assert not (tmp_path / "demos" / ".frames").exists() and len(list((tmp_path / "out" / ".frames").glob("[!.]*"))) == 1
    shutil.move(tmp_path / "out" / ".frames", tmp_path / "demos")  # prepared with write permission: used from there
    train(request(tmp_path / "demos", tmp_path / "out", steps=1, resume=True))
    assert not (tmp_path / "out" / ".frames").exists()
