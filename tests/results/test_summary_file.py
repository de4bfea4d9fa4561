"""`vla-bench keep`: the summary of a run, of a part of it, and of runs of single suites."""

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vla_bench.errors import DamagedRunError, NotComparableError, RecordError, UsageError
from vla_bench.records import Status, config_hash, write_episode, write_run
from vla_bench.results.summary_file import read_summary

from ..made_runs import episode, run


def recorded(folder, recorded_run, episodes):
    folder.mkdir()
    write_run(folder, recorded_run)
    for each in episodes:
        write_episode(folder, each)
    return str(folder)


def test_a_run_becomes_a_small_file(cli, tmp_path):
    endings = [Status.FAILURE if i == 2 else Status.SUCCESS for i in range(6)]
    folder = recorded(tmp_path / "run", run(), [episode(5 - i, ending) for i, ending in enumerate(endings)])
    printed = cli("keep", folder, "summaries/a.json").stdout
    assert printed.startswith("summaries/a.json: 6 episodes, ")
    summary = json.loads((tmp_path / "summaries" / "a.json").read_text())
    (task,) = summary["tasks"].values()
    assert task["outcomes"] == "sssfss" and task["init_states"] == [0, 1, 2, 3, 4, 5]
    assert summary["totals"]["successes"] == 5 and summary["config_hash"] == run().config_hash
    del summary["checksum"]
    assert read_summary(tmp_path / "summaries" / "a.json") == summary == read_summary(tmp_path / "run")


@pytest.fixture
def ten_tasks(tmp_path):
    every = itertools.product(range(10), range(3))
    return recorded(tmp_path / "ten", run(), [replace(episode(init), task_id=task) for task, init in every])


def test_a_part_of_a_run(cli, tmp_path, ten_tasks):
    cli("keep", ten_tasks, "part.json", "--suite", "object", "--init-states", "1-2")
    part = json.loads((tmp_path / "part.json").read_text())
    assert list(part)[:2] == ["command", "kept"] and part["kept"] == {"suite": "object", "init_states": "1-2"}
    assert part["totals"]["episodes"] == 20 and part["tasks"]["object/9"]["init_states"] == [1, 2]
    assert part["command"] == run().command
    cli("keep", ten_tasks, "one.json", "--tasks", "3")
    one = json.loads((tmp_path / "one.json").read_text())
    assert one["totals"]["episodes"] == 3 and list(one["tasks"]) == ["object/3"]
    assert one["kept"] == {"suite": None, "init_states": None, "tasks": "3"}


def test_a_part_that_is_not_there_is_refused(cli, tmp_path, ten_tasks):
    failed = cli("keep", ten_tasks, "more.json", "--init-states", "1-3")
    assert failed.exit_code == RecordError.exit_code and "lacks 10 of these 30" in str(failed.exception)
    other = cli("keep", ten_tasks, "more.json", "--suite", "goal")
    assert other.exit_code == RecordError.exit_code and "lacks 500 of these 500" in str(other.exception)
    assert not (tmp_path / "more.json").exists()


def planned(init_states):
    return replace(run(), planned={"object/3": init_states})


def test_a_run_that_lacks_planned_episodes_is_not_complete_whatever_it_says(tmp_path):
    lacking = recorded(tmp_path / "lacking", planned("0-2"), [episode(0), episode(2)])
    whole = recorded(tmp_path / "whole", planned("0-2"), [episode(i) for i in range(3)])
    found = [read_summary(Path(folder)) for folder in (lacking, whole)]
    assert [(table["status"], table["planned"]) for table in found] == [
        ("interrupted", {"object/3": "0-2"}),
        ("complete", {"object/3": "0-2"}),
    ]


def test_gate_refuses_a_run_that_lacks_planned_episodes(cli, tmp_path):
    lacking = recorded(tmp_path / "lacking", planned("0-2"), [episode(0), episode(2)])
    whole = recorded(tmp_path / "whole", planned("0-2"), [episode(i) for i in range(3)])
    refused = cli("gate", whole, lacking)
    assert refused.exit_code == NotComparableError.exit_code and "is not complete" in str(refused.exception)


def test_an_episode_that_was_never_planned_is_damage(tmp_path):
    recorded(tmp_path / "run", planned("0-2"), [episode(0), episode(40)])
    with pytest.raises(DamagedRunError, match="never planned: object-t3-i40"):
        read_summary(tmp_path / "run")


def test_the_plan_of_a_part(cli, tmp_path):
    folder = recorded(tmp_path / "run", planned("0-3"), [episode(i) for i in range(4)])
    cli("keep", folder, "part.json", "--init-states", "1-2", "--tasks", "3")
    cli("keep", folder, "task.json", "--tasks", "3")
    plans = [json.loads((tmp_path / name).read_text())["planned"] for name in ("part.json", "task.json")]
    assert plans == [{"object/3": "1-2"}, {"object/3": "0-3"}]


def test_runs_of_single_suites_become_one(cli, tmp_path):
    def of_suite(name, **more):
        policy = {"checkpoint": "5" * 64, "unnorm_keys": {name: f"libero_{name}"}}
        recorded_run = run(suites={name: "1" * 64}, policy=policy, **more)
        recorded_run = replace(
            recorded_run, suites={name: recorded_run.suites["object"] | {"name": name}}, command=f"--suite {name}"
        )
        return recorded(tmp_path / (name + "".join(more)), recorded_run, [replace(episode(), suite=name)])

    parts = of_suite("spatial"), of_suite("object")
    cli("keep", *parts, "whole.json")
    whole = json.loads((tmp_path / "whole.json").read_text())
    assert list(whole["suites"]) == list(whole["config"]["suites"]) == ["spatial", "object"]
    assert whole["config"]["policy"]["unnorm_keys"] == {"spatial": "libero_spatial", "object": "libero_object"}
    assert whole["config_hash"] == config_hash(whole["config"]) and whole["command"] == "--suite spatial && --suite object"
    assert list(whole["tasks"]) == ["spatial/3", "object/3"] and whole["totals"]["episodes"] == 2

    other = cli("keep", *parts, of_suite("goal", seed=1), "no.json")
    assert other.exit_code == NotComparableError.exit_code and "they differ in seed" in str(other.exception)
    twice = cli("keep", *parts, parts[0], "no.json")
    assert "both have spatial/3: 0" in str(twice.exception) and not (tmp_path / "no.json").exists()


def test_folders_and_files_are_not_mixed_up(cli, tmp_path, ten_tasks):
    forgotten = cli("keep", ten_tasks, ten_tasks)
    assert forgotten.exit_code == UsageError.exit_code and "the last argument must be the file" in str(forgotten.exception)
    cli("keep", ten_tasks, "a.json")
    again = cli("keep", "a.json", "b.json")
    assert again.exit_code == RecordError.exit_code and "a.json is not a run folder" in str(again.exception)


def test_keeping_imports_nothing_heavy(tmp_path, ten_tasks):
    code = f"""
import sys
from typer.testing import CliRunner
from vla_bench.cli import app
result = CliRunner().invoke(app, ["keep", {ten_tasks!r}, {str(tmp_path / "a.json")!r}, "--tasks", "0"])
assert result.exit_code == 0, result
heavy = {{"torch", "mujoco", "robosuite", "numpy", "matplotlib", "scipy"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
