"""`vla-bench eval --against BASE --stop-early` from end to end, on a fake simulator."""

import dataclasses
import json
import shutil
from functools import partial

import pytest

from vla_bench.errors import NotComparableError, UsageError
from vla_bench.policies.simple import NoopPolicy
from vla_bench.records import config_hash, read_run
from vla_bench.report.listings import print_result
from vla_bench.results.comparison import compare
from vla_bench.results.gate import GateRule, gate
from vla_bench.results.gate_status import GateStatus
from vla_bench.results.merge import merge
from vla_bench.results.summary_file import summary_of, write_summary
from vla_bench.rollout import evaluate as evaluate_module
from vla_bench.rollout import plan, world_setup
from vla_bench.rollout.against import StopOptions, stop_options
from vla_bench.rollout.evaluate import evaluate
from vla_bench.rollout.request import EvalRequest
from vla_bench.suites import load_suite

from .fakes import HORIZON, make_fake

STOP = StopOptions(alpha=0.05, must_see=0.2)


class Wins(NoopPolicy):
    """Closes the gripper, and so succeeds, but in the episodes with these init states."""

    def __init__(self, but=(), fails=()):
        self.but, self.fails = but, fails

    def act(self, observations):
        chunks = super().act(observations)
        for o, chunk in zip(observations, chunks, strict=True):
            if o.episode.init_state in self.fails:
                raise RuntimeError("no answer")
            chunk.actions[-1, 6] = -1.0 if o.episode.init_state in self.but else 1.0
        return chunks


def evaluate_fake(patch, folder, out, but=(), init_states="0-9", fails=(), **more):
    """`Wins` on init states of three tasks of a shortened Object suite, in the fake simulator."""
    suite = dataclasses.replace(load_suite("object"), horizon=HORIZON)
    patch.setattr(plan, "load_suites", lambda *asked: [suite])
    patch.setattr(world_setup, "make_simulator", make_fake)
    patch.setattr(plan, "make_policy", lambda choice, model: Wins(but, fails))
    what = {"suite": "object", "model": "noop", "tasks": "0-2", "init_states": init_states, "assets": "primitive"}
    return evaluate(EvalRequest(**what | {"video": "none", "workers": "1", "out": folder / out} | more))


@pytest.fixture
def go(monkeypatch, tmp_path):
    return partial(evaluate_fake, monkeypatch, tmp_path)


@pytest.fixture(scope="module")
def won(tmp_path_factory):
    """A run that won every episode."""
    with pytest.MonkeyPatch.context() as patch:
        return evaluate_fake(patch, tmp_path_factory.mktemp("base"), "base").run_dir


@pytest.fixture
def base(won, tmp_path):
    return shutil.copytree(won, tmp_path / "base")


def test_a_drop_ends_the_run_and_its_verdict_stays(go, base, capsys, schema):
    run = {"but": range(10), "against": base, "stop_early": STOP}
    result = go("worse", **run)
    assert result.verdict.finding is GateStatus.DROPPED and result.exit_code == 1 and not result.interrupted
    assert result.verdict.pairs == result.verdict.lost == result.ran == 7
    print_result(result)
    printed = capsys.readouterr()
    assert "dropped: stopped early after 7 of 30 pairs" in printed.out and "without --stop-early" in printed.err
    recorded = json.loads((result.run_dir / "run.json").read_text())
    schema("run", recorded)
    assert recorded["status"] == "stopped" and recorded["stopped"]["finding"] == "dropped"
    assert recorded["stop_rule"]["must_see"] == 0.2 and recorded["planned"] == {f"object/{task}": "0-9" for task in range(3)}
    assert result.to_dict()["verdict"]["lost"] == 7

    again = go("worse", **run | {"but": ()})  # nothing runs again, whatever the policy would do now
    assert again.ran == 0 and again.verdict == result.verdict and again.exit_code == 1
    assert read_run(result.run_dir).status == "stopped"


def test_a_stopped_run_is_refused_by_what_takes_a_fixed_number(go, base, tmp_path):
    stopped = go(
        "worse", but=range(10), against=base, stop_early=STOP, command="vla-bench eval --against base --stop-early"
    ).run_dir
    kept = tmp_path / "kept.json"
    write_summary(kept, summary_of(*merge([stopped])))
    for run in (stopped, kept):
        with pytest.raises(NotComparableError, match=r"was stopped early, after 7 pairs .*: dropped") as caught:
            gate(base, run, GateRule())
        assert caught.value.fix.startswith("vla-bench eval") and "--stop-early" not in caught.value.fix
        with pytest.raises(NotComparableError, match="stopped early"):
            compare([base, run])
        with pytest.raises(NotComparableError, match="stopped early"):
            go("third", against=run)
    shutil.copytree(stopped, tmp_path / "part")
    other = go("other", init_states="10-12").run_dir
    assert merge([stopped, other])[0].status == "stopped"


def test_the_rest_may_be_run_and_then_a_fixed_number_is_there(go, base):
    stopped = go("worse", but=range(10), against=base, stop_early=STOP)
    whole = go("worse", but=range(10))
    assert whole.verdict is None and whole.exit_code == 0 and stopped.ran + whole.ran == 30
    run = read_run(whole.run_dir)
    assert run.status == "complete" and run.stopped["finding"] == "dropped"  # the record of the stop stays
    assert gate(base, whole.run_dir, GateRule()).finding is GateStatus.DROPPED


def test_a_pass_ends_the_run_and_without_either_all_of_it_runs(go, base):
    passed = go("same", against=base, stop_early=STOP)
    assert passed.verdict.finding is GateStatus.PASSED and passed.exit_code == 0 and passed.verdict.pairs == 20
    assert read_run(passed.run_dir).status == "stopped"
    open_ = go("open", against=base, stop_early=StopOptions(must_see=0.02))
    assert open_.verdict.finding is GateStatus.INCONCLUSIVE and open_.exit_code == 3 and open_.ran == 30
    assert read_run(open_.run_dir).status == "complete"


def test_an_interrupted_run_goes_on_in_its_order(go, base, monkeypatch):
    """Broken off after five episodes by Ctrl-C, as the engine reports it."""
    run = {"but": (1, 2), "against": base, "stop_early": StopOptions(must_see=0.1)}
    whole = go("whole", **run).verdict
    ends = evaluate_module.Journal.write

    def write(journal, event):
        ends(journal, event)
        if len(journal.folder.done) == 5:
            raise KeyboardInterrupt

    monkeypatch.setattr(evaluate_module.Journal, "write", write)
    with pytest.raises(KeyboardInterrupt):
        go("broken", **run)
    monkeypatch.setattr(evaluate_module.Journal, "write", ends)
    assert go("broken", **run).verdict == whole


def test_a_rule_changed_after_looking_is_refused(go, base, tmp_path):
    go("run", but=range(10), against=base, stop_early=STOP)
    for change in ({"stop_early": StopOptions(must_see=0.3)}, {"stop_early": StopOptions(0.2, 0.2)}, {"init_states": "0-8"}):
        with pytest.raises(NotComparableError, match="stop rule of another configuration"):
            go("run", **{"but": range(10), "against": base, "stop_early": STOP} | change)
    moved = base.rename(tmp_path / "moved")
    assert go("run", against=moved, stop_early=STOP).exit_code == 1  # the same baseline in another place


def test_more_than_two_percent_errors_are_no_verdict(go, base):
    result = go("errors", fails=(4,), against=base, stop_early=STOP)
    assert result.exit_code == 5 and result.summary.total.errors


def test_a_baseline_is_checked_before_anything_is_written(go, base, tmp_path):
    def refused(kind, match, **more):
        with pytest.raises(kind, match=match):
            go("new", **{"against": base, "stop_early": STOP} | more)
        assert not (tmp_path / "new").exists()

    refused(UsageError, "pairs each episode with a baseline's", against=None)
    refused(UsageError, "a shard sees only its own", shard="1/2")
    refused(UsageError, "without repeats", init_states=None, trials=51)
    refused(NotComparableError, "lacks 15 of the 45 episodes, the first is object-t0-i10", init_states="0-14")
    table = json.loads((base / "run.json").read_text())
    for status, assets, match in (("interrupted", "0", "is not complete: interrupted"), ("complete", "1", "another world")):
        config = table["config"] | {"assets": {"name": "primitive", "sha256": 64 * assets}}
        changed = table | {"status": status, "config": config, "config_hash": config_hash(config)}
        (base / "run.json").write_text(json.dumps(changed))
        refused(NotComparableError, match)


def test_against_alone_checks_and_names_the_gate(go, base, capsys):
    result = go("plain", against=base, init_states="0")
    print_result(result)
    assert result.exit_code == 0 and result.ran == 3 and result.verdict is None
    assert f"vla-bench gate {base} {result.run_dir}" in capsys.readouterr().err


def test_options_that_would_change_nothing():
    assert stop_options(True, None, 15.0) == StopOptions(0.05, 0.15) and stop_options(False, None, None) is None
    with pytest.raises(UsageError, match="--alpha 0.1 belongs to --stop-early"):
        stop_options(False, 0.1, None)
