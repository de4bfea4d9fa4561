"""The scripts beside the package run as their first lines say."""

import itertools
import json
import runpy
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from vla_bench.records import Status, append_line, config_hash, write_run
from vla_bench.training.samples import Batch

from ..conftest import ROOT
from ..made_runs import episode, run


def start(name: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, str(ROOT / "scripts" / name), *arguments], capture_output=True, text=True)


def script(name: str, *arguments: str) -> str:
    done = start(name, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_run_survives_being_killed():
    printed = script("kill_storm.py", "--kills", "4", "--episodes", "10", "--model", "noop")
    assert "same episodes, once each, same states at their ends" in printed


def test_pruners_share_a_table(tmp_path):
    common = ["--keep", "10", "--suite", "object", "--tasks", "0", "--init-states", "0", "--workers", "1"]
    folders = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "kept")]
    script("pruner_table.py", "--only", "none,random", *common, *folders)
    kept = {name: json.loads((tmp_path / "kept" / "object" / f"{name}.json").read_text()) for name in ("none", "random")}
    assert [each["totals"]["episodes"] for each in kept.values()] == [1, 1]
    assert "random" in (tmp_path / "kept" / "object.md").read_text()
    again = script("pruner_table.py", "--only", "none,random", *common, *folders)  # from what is kept: nothing runs
    assert again.count("is there, of: vla-bench eval --suite object") == 2 and "episodes/h" not in again


def test_contact_sheet(tmp_path):
    from PIL import Image

    script("contact_sheet.py", "--suite", "goal", "--size", "64", "--out", str(tmp_path / "sheet.png"))
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size == (640, 80) and len(picture.getcolors(maxcolors=100_000)) > 500


def test_bench_proves_that_looking_changes_nothing():
    printed = script("bench_world.py", "--assets", "primitive", "--steps", "16", "--rounds", "1")
    assert "same states, same images" in printed and "ratio" in printed


def test_a_run_is_kept_small(tmp_path):
    (tmp_path / "run").mkdir()
    write_run(tmp_path / "run", run())
    for i in range(6):
        each = episode(5 - i, Status.FAILURE if i == 2 else Status.SUCCESS)
        append_line(tmp_path / "run" / "episodes.jsonl", each.to_json())
    script("keep_run.py", str(tmp_path / "run"), str(tmp_path / "kept" / "a.json"))
    kept = json.loads((tmp_path / "kept" / "a.json").read_text())
    (task,) = kept["tasks"].values()
    assert task["outcomes"] == "sssfss" and task["init_states"] == [0, 1, 2, 3, 4, 5]
    assert kept["totals"]["successes"] == 5 and kept["config_hash"] == run().config_hash


def test_a_part_of_a_run_is_kept(tmp_path):
    write_run(tmp_path, run())
    for task_id, init_state in itertools.product(range(10), range(3)):
        each = replace(episode(init_state, Status.SUCCESS), task_id=task_id)
        append_line(tmp_path / "episodes.jsonl", each.to_json())
    script("keep_run.py", str(tmp_path), str(tmp_path / "part.json"), "--suite", "object", "--init-states", "1-2")
    part = json.loads((tmp_path / "part.json").read_text())
    assert part["totals"]["episodes"] == 20 and part["kept"] == {"suite": "object", "init_states": "1-2"}
    assert part["tasks"]["object/9"]["init_states"] == [1, 2] and part["command"] == run().command
    failed = start("keep_run.py", str(tmp_path), str(tmp_path / "more.json"), "--init-states", "1-3")
    assert failed.returncode == 1 and "lacks 10 of these 30" in failed.stderr and not (tmp_path / "more.json").exists()


def test_runs_of_single_suites_are_kept_as_one(tmp_path):
    def suite(name: str, **more) -> str:
        policy = {"checkpoint": "5" * 64, "unnorm_keys": {name: f"libero_{name}"}}
        told = run(suites={name: "1" * 64}, policy=policy, **more)
        folder = tmp_path / (name + "".join(more))
        folder.mkdir()
        write_run(folder, replace(told, suites={name: told.suites["object"] | {"name": name}}, command=f"--suite {name}"))
        append_line(folder / "episodes.jsonl", replace(episode(), suite=name).to_json())
        return str(folder)

    parts = suite("spatial"), suite("object")
    script("keep_run.py", *parts, str(tmp_path / "whole.json"))
    whole = json.loads((tmp_path / "whole.json").read_text())
    assert list(whole["suites"]) == list(whole["config"]["suites"]) == ["spatial", "object"]
    assert whole["config"]["policy"]["unnorm_keys"] == {"spatial": "libero_spatial", "object": "libero_object"}
    assert whole["config_hash"] == config_hash(whole["config"]) and whole["command"] == "--suite spatial && --suite object"
    assert list(whole["tasks"]) == ["spatial/3", "object/3"] and whole["totals"]["episodes"] == 2

    other = start("keep_run.py", *parts, suite("goal", seed=1), str(tmp_path / "no.json"))
    assert "not parts of one run: they differ in seed" in other.stderr
    twice = start("keep_run.py", *parts, parts[0], str(tmp_path / "no.json"))
    assert "two of these runs are of the suite spatial" in twice.stderr and not (tmp_path / "no.json").exists()


@pytest.mark.parametrize(("python", "fine"), [((3, 9), False), ((3, 10), True), ((3, 12), True), ((3, 13), False)])
def test_check_python(monkeypatch, python, fine):
    monkeypatch.setattr(sys, "version_info", python + (0, "final", 0))
    if fine:
        runpy.run_path(str(ROOT / "scripts" / "check_python.py"))
    else:
        with pytest.raises(SystemExit, match=r"needs Python 3.10 to 3.12"):
            runpy.run_path(str(ROOT / "scripts" / "check_python.py"))


def test_ways_and_waits_are_counted():
    script = runpy.run_path(str(ROOT / "scripts" / "ambiguity.py"))
    points = np.zeros((10, 5))
    points[7:9, 0], points[9, 3] = 0.05, 0.03  # two grasps from another side, and one with the hand turned round
    assert script["ways"](points) == pytest.approx([0.7, 0.2, 0.1])
    still = np.array([True, False, True, True, True])
    assert [script["run_before"](still, step) for step in (1, 2, 5)] == [1, 0, 3]


def test_sides_are_tried():
    printed = script(
        "grasp_sides.py", "--suite", "object", "--task", "0", "--object", "alphabet_soup_1", "--sides", "own,60", "--starts", "1"
    )
    assert printed.count("1 of 1") == 2 and "side   60" in printed


def test_what_is_left_of_a_lean_is_measured():
    script = runpy.run_path(str(ROOT / "scripts" / "cut_turns.py"))
    actions = np.zeros((4, 7))
    actions[0, 3], actions[1, 4], actions[2, :3] = -1.0, 0.25, 9.0
    assert script["left"](actions, np.full(7, -0.5), np.full(7, 0.5)) == pytest.approx(0.75 / 1.25)


def test_how_far_off_a_place_is_said_to_be(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    script = runpy.run_path(str(ROOT / "scripts" / "where_error.py"))
    targets = torch.tensor([[0.0, 0.0, 0.0], [torch.nan] * 3]).repeat(3, 1, 1)
    said = torch.zeros(3, 2, 3)
    said[:, 0] = torch.tensor([[0.3, 0.4, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 9.0]])  # tenths of a metre
    batch = Batch(None, torch.zeros(3, 8, 7), targets, (0, 0, 0))
    assert script["errors"](said, batch) == pytest.approx([50.0, np.nan], nan_ok=True)
