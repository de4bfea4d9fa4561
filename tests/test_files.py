"""Temporary files of killed writers are swept; nothing else is touched."""

import os
import time

from vla_bench.files import discard, sweep, temporary_for


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path):
    left, own = tmp_path / ".run.json.123456", temporary_for(tmp_path / "run.json")
    others = [own, tmp_path / "run.json", tmp_path / ".lock", tmp_path / ".bashrc.1", tmp_path / "a.json.12"]
    for path in (left, *others):
        path.touch()
    sweep(tmp_path, age_s=0)
    assert not left.exists() and all(path.exists() for path in others)


def test_without_a_lock_only_what_is_old(tmp_path):
    young, old = tmp_path / ".run.1", tmp_path / ".run.2"
    for folder in (young, old):
        folder.mkdir()
        (folder / "episodes.jsonl").touch()
    before = time.time() - 7200
    os.utime(old, (before, before))
    sweep(tmp_path, "run")
    assert young.is_dir() and not old.exists()


def test_discarding_what_is_not_there_or_cannot_go_is_silent(tmp_path):
    discard(tmp_path / "missing")
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "target")
    discard(tmp_path / "link")
    assert not (tmp_path / "link").is_symlink() and (tmp_path / "target").is_dir()
