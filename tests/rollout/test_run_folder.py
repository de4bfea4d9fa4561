"""The folder of a run never adopts what another command, or another configuration, recorded."""

import os
from dataclasses import replace

import pytest

from tests.made_runs import a_run, episode, run
from vla_bench.demonstrations.folder import DemoFolder
from vla_bench.errors import NotComparableError, RecordError
from vla_bench.records import read_episodes
from vla_bench.rollout.folder import RunFolder
from vla_bench.suites import load_suite
from vla_bench.world.init_states import init_states_hash


def a_plan(**config):
    return replace(run(**config), planned={"object/3": "0-1"}, status="started")


def test_episodes_without_a_configuration_are_nobodys(tmp_path):
    a_run(tmp_path / "run", "sf")
    (tmp_path / "run" / "run.json").unlink()
    with pytest.raises(NotComparableError, match="episodes.jsonl of a run without run.json"):
        RunFolder(tmp_path / "run", a_plan())
    assert not (tmp_path / "run" / "run.json").exists()


def test_fresh_moves_such_episodes_aside_and_reports_none_of_them(tmp_path):
    a_run(tmp_path / "run", "sf")
    (tmp_path / "run" / "run.json").unlink()
    folder = RunFolder(tmp_path / "run", a_plan(), fresh=True)
    folder.close()
    assert folder.done == {} and folder.replaced == tmp_path / "run.old1"
    assert (tmp_path / "run.old1" / "episodes.jsonl").exists()


@pytest.mark.parametrize("fresh", (False, True))
def test_a_run_and_demonstrations_never_share_a_folder(tmp_path, fresh):
    DemoFolder(tmp_path / "demos", {"seed": 0}, "vla-bench demos").close()
    with pytest.raises(NotComparableError, match="holds demos.json of demonstrations"):
        RunFolder(tmp_path / "demos", a_plan(), fresh=fresh)
    RunFolder(tmp_path / "run", a_plan()).close()
    with pytest.raises(NotComparableError, match="holds run.json of a run"):
        DemoFolder(tmp_path / "run", {"seed": 0}, "vla-bench demos")


def test_attempts_without_a_configuration_are_nobodys(tmp_path):
    (tmp_path / "attempts.jsonl").touch()
    with pytest.raises(NotComparableError, match="attempts.jsonl of demonstrations without demos.json"):
        DemoFolder(tmp_path, {"seed": 0}, "vla-bench demos")


@pytest.mark.parametrize("name", ("run.json", "episodes.jsonl", ".lock"))
def test_links_in_place_of_locks_and_records_are_refused(tmp_path, name):
    RunFolder(tmp_path / "other", a_plan()).close()
    (tmp_path / "other" / name).touch()
    before = (tmp_path / "other" / name).read_bytes()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).symlink_to(tmp_path / "other" / name)
    with pytest.raises(RecordError, match=f"{name} is a link"):
        RunFolder(tmp_path / "run", a_plan())
    assert (tmp_path / "other" / name).read_bytes() == before


def test_a_record_that_becomes_a_link_later_is_not_followed(tmp_path):
    folder = RunFolder(tmp_path / "run", a_plan())
    (tmp_path / "theirs").touch()
    (tmp_path / "run" / "episodes.jsonl").symlink_to(tmp_path / "theirs")
    with pytest.raises(RecordError, match="cannot record an episode"):
        folder.add(episode())
    folder.close()
    assert (tmp_path / "theirs").read_bytes() == b"" and not list(read_episodes(tmp_path / "run"))


def test_a_pipe_is_no_lock(tmp_path):
    os.mkfifo(tmp_path / ".lock")
    with pytest.raises(RecordError, match=".lock is no file"):
        RunFolder(tmp_path, a_plan())


def test_changed_init_states_are_another_protocol(tmp_path, monkeypatch):
    """The content of all files of the suite, not their number, is in the configuration."""
    suite = load_suite("object")
    for task in suite.tasks:
        (tmp_path / f"{task.name}.pruned_init").write_bytes(b"as they are")
    monkeypatch.setattr("vla_bench.world.init_states.init_states_file", lambda _, task: tmp_path / f"{task.name}.pruned_init")
    before = init_states_hash.__wrapped__(suite)
    assert before == init_states_hash.__wrapped__(suite)
    (tmp_path / f"{suite.tasks[7].name}.pruned_init").write_bytes(b"as they ar3")
    assert before != init_states_hash.__wrapped__(suite)
