"""Experiment trackers: what they receive, that a missing one is refused at once, and that none ever ends a run."""

import sys

import pytest

from vla_bench.errors import UsageError
from vla_bench.tracking import Guarded, trackers

from .made_trackers import Recorder, fake_module


def follow(tracker):
    tracker.start("run-1", {"model": "nano"})
    for step in (1, 2):
        tracker.log(step, {"success": step / 2})
    tracker.finish({"status": "complete"})


@pytest.mark.parametrize("fails", ["start", "log", "finish"])
def test_one_that_raises_is_switched_off_with_one_warning_and_others_go_on(fails, capsys):
    broken, whole = Recorder(fails), Recorder()
    follow(Guarded({"broken": broken, "whole": whole}))
    said = capsys.readouterr()
    assert [what[0] for what in whole.told] == ["start", "log", "log", "finish"]
    assert said.err.count("warning: broken is switched off, the run goes on: ConnectionError: no network\n") == 1
    assert said.out == "", "standard output is for results"
    assert [what[0] for what in broken.told] == {"start": [], "log": ["start"], "finish": ["start", "log", "log"]}[fails]


def test_an_interruption_is_none_of_its_errors():
    class Interrupted(Recorder):
        def log(self, step, values):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(Guarded({"recorder": Interrupted()}))


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_one_that_is_not_installed_is_refused_with_the_line_that_installs_it(name, monkeypatch, cli):
    for module in (name, "tensorboard.summary.writer.event_file_writer"):
        monkeypatch.setitem(sys.modules, module, None)
    refused = cli("eval", "--model", "expert", "--out", "run", f"--{name}", "somewhere").exception
    assert isinstance(refused, UsageError) and refused.fix == f"pip install 'vla-bench[{name}]'"
    assert f"--{name} needs {name}" in refused.message


def test_none_is_imported_that_is_not_asked_for():
    assert trackers() is None and "wandb" not in sys.modules and "trackio" not in sys.modules


def test_tensorboard_reads_what_was_written_and_a_resumed_run_goes_on(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    follow(trackers(tensorboard=tmp_path))
    again = trackers(tensorboard=tmp_path)
    again.start("run-1", {"model": "nano"})
    again.log(3, {"success": 0.25})
    again.finish({"status": "complete", "success": 0.25})
    read = EventAccumulator(str(tmp_path / "run-1"))
    read.Reload()
    assert [(each.step, each.value) for each in read.Scalars("success")] == [(1, 0.5), (2, 1.0), (3, 0.25)]
    texts = {tag: read.Tensors(tag)[-1].tensor_proto.string_val[0].decode() for tag in ("config", "summary")}
    assert '"model": "nano"' in texts["config"] and '"success": 0.25' in texts["summary"]
    assert read.SummaryMetadata("config").plugin_data.plugin_name == "text"


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_a_project_gets_a_run_that_can_be_resumed(name, monkeypatch):
    told = []
    monkeypatch.setitem(sys.modules, name, module := fake_module(told))
    follow(trackers(**{name: "pruners"}))
    options, *steps, last = told
    assert {key: options[key] for key in ("project", "name", "resume", "config")} == {
        "project": "pruners",
        "name": "run-1",
        "resume": "allow",
        "config": {"model": "nano"},
    }
    assert steps[:2] == [(1, {"success": 0.5}), (2, {"success": 1.0})] and last == "finish"
    assert name == "trackio" or (options["id"], module.run.summary) == ("run-1", {"status": "complete"})
