"""What experiment trackers are told of an evaluation, a resumed one, and a sweep."""

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

from vla_bench.records import Status, read_run
from vla_bench.rollout.journal import Observer
from vla_bench.rollout.sweep_progress import SweepObserver
from vla_bench.rollout.tracked import TrackedRun, TrackedSweep, tracked_name

from ..conftest import ASSETS
from ..made_runs import episode, run
from ..made_trackers import Recorder, fake_module


class Heard(Observer):
    def __init__(self):
        self.calls = []

    def event(self, event, episode):
        self.calls.append(event)

    def end(self):
        self.calls.append("end")


def test_a_step_is_an_episode_with_the_running_rate_of_init_states():
    tracker, heard, made = Recorder(), Heard(), run(policy={"pruner": "lightvla"})
    observer = TrackedRun(heard, tracker)
    observer.opened(made)
    observer.begin("to run", 5, [episode(0), episode(0, repeat=1)])
    observer.event("one", episode(1, Status.FAILURE, kept_tokens_mean=12.0))
    observer.event("retried", None)
    observer.event("two", episode(2, Status.ERROR))
    observer.end()
    (_, name, config), (_, third, values), (_, fourth, after), (_, summary) = tracker.told
    assert name == tracked_name(made) and config["policy"] == {"pruner": "lightvla"} and config["command"] == "vla-bench eval"
    assert (third, values["success/all"], values["success/object_n"], values["episode/kept_tokens_mean"]) == (3, 0.5, 2, 12.0)
    assert 0 < values["success/all_low"] < 0.5 < values["success/all_high"] < 1 and "episode/gflops_mean" not in values
    assert (fourth, after["errors"], after["success/all"]) == (4, 1, 0.5) and "episode/steps" not in after
    assert (summary["status"], summary["success"], summary["success_n"], summary["episodes"]) == ("complete", 0.5, 2, 4)
    assert heard.calls == ["one", "retried", "two", "end"]


def test_a_run_that_did_not_begin_is_not_tracked():
    tracker = Recorder()
    TrackedRun(Observer(), tracker).end()
    assert tracker.told == []


def test_each_run_of_a_sweep_is_one_of_its_own():
    tracker = Recorder()
    sweep = TrackedSweep(SweepObserver(), tracker)
    for name in ("own", "grid"):
        observer = sweep.of_run(name)
        observer.opened(run())
        observer.begin("to run", 1, [])
        observer.event("", episode(0))
        observer.end()
    sweep.end()
    starts = [what[1] for what in tracker.told if what[0] == "start"]
    assert [name.rpartition("-")[0] for name in starts] == ["own", "grid"] and len(tracker.told) == 6
    assert tracker.told[1][1] == tracker.told[4][1] == 1


def test_names_are_those_of_the_folder_s_run():
    """A resumed run keeps when it was created; one in another folder was created at another time."""
    made, later = run(), replace(run(), created="2026-02-01T00:00:00+00:00")
    assert tracked_name(made) == tracked_name(run()) != tracked_name(later) and tracked_name(made).startswith("id-")


def test_a_broken_tracker_costs_an_evaluation_nothing(cli, monkeypatch, tmp_path):
    """Beside it TensorBoard's record, which goes on when the run does."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    broken = fake_module([])
    broken.init = lambda **_: SimpleNamespace(log=lambda *_, **__: 1 / 0)
    monkeypatch.setitem(sys.modules, "wandb", broken)
    what = ["eval", "--suite", "object", "--tasks", "0", "--model", "expert", "--assets", ASSETS, "--workers", "1"]
    what += ["--video", "none", "--out", "run", "--format", "json", "--tensorboard", "tb", "--wandb", "pruners"]
    for last in (0, 1):
        done = cli(*what, "--init-states", f"0-{last}")
        assert done.exit_code == 0 and json.loads(done.stdout)["episodes"] == last + 1
        assert done.stderr.count("warning: wandb is switched off, the run goes on: ZeroDivisionError") == 1
    made = read_run(tmp_path / "run")
    read = EventAccumulator(str(tmp_path / "tb" / tracked_name(made)))
    read.Reload()
    assert made.status == "complete" and [each.step for each in read.Scalars("success/all")] == [1, 2]
