"""The scripts beside the package run as their first lines say."""

import runpy
import subprocess
import sys

import numpy as np
import pytest
import torch

from vla_bench.suites import load_suite
from vla_bench.training.samples import Batch

from ..conftest import ROOT


def script(name: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / name), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_run_survives_being_killed():
    printed = script("kill_storm.py", "--kills", "2", "--episodes", "10", "--model", "noop")
    assert "same episodes, once each, same states at their ends" in printed


def test_resets_and_starts_are_checked():
    assert (
        script("check_resets.py", "--suite", "long", "--tasks", "8", "--resets", "2") == "long/8 on primitive: 2 episodes equal\n"
    )
    printed = script("check_starts.py", "--suite", "long", "--tasks", "8", "--init-states", "0-1", "--frozen-fixtures")
    assert printed.split()[-5:-1] == ["long", "frozen", "2", "2"] and "not sound" not in printed


def test_contact_sheet(tmp_path):
    from PIL import Image

    script("contact_sheet.py", "--suite", "goal", "--size", "64", "--out", str(tmp_path / "sheet.png"))
    with Image.open(tmp_path / "sheet.png") as image:
        assert image.width == 640 and image.height > 64 and len(image.getcolors(maxcolors=100_000)) > 500


def test_captions_of_the_contact_sheet_are_whole():
    caption = runpy.run_path(str(ROOT / "scripts" / "contact_sheet.py"))["caption"]
    for task in load_suite("long").tasks:
        lines = caption("long", task, 24).split("\n")
        assert max(map(len, lines)) <= 24 and " ".join(lines) == f"long {task.id}: {task.language}"


def test_bench_proves_that_looking_changes_nothing():
    printed = script("bench_world.py", "--assets", "primitive", "--steps", "16", "--rounds", "1")
    assert "same states, same images" in printed and "ratio" in printed


@pytest.mark.parametrize(("python", "fine"), [((3, 9), False), ((3, 10), True), ((3, 12), True), ((3, 13), False)])
def test_check_python(monkeypatch, python, fine):
    monkeypatch.setattr(sys, "version_info", python + (0, "final", 0))
    if fine:
        runpy.run_path(str(ROOT / "scripts" / "check_python.py"))
    else:
        with pytest.raises(SystemExit, match=r"needs Python 3.10 to 3.12"):
            runpy.run_path(str(ROOT / "scripts" / "check_python.py"))


def test_ways_and_waits_are_counted():
    script = runpy.run_path(str(ROOT / "scripts" / "lab" / "ambiguity.py"))
    points = np.zeros((10, 5))
    points[7:9, 0], points[9, 3] = 0.05, 0.03  # two grasps from another side, and one with the hand turned round
    assert script["ways"](points) == pytest.approx([0.7, 0.2, 0.1])
    still = np.array([True, False, True, True, True])
    assert [script["run_before"](still, step) for step in (1, 2, 5)] == [1, 0, 3]


def test_sides_are_tried():
    printed = script(
        "lab/grasp_sides.py",
        "--suite",
        "object",
        "--task",
        "0",
        "--object",
        "alphabet_soup_1",
        "--sides",
        "own,60",
        "--starts",
        "1",
    )
    assert printed.count("1 of 1") == 2 and "side   60" in printed


def test_what_is_left_of_a_lean_is_measured():
    script = runpy.run_path(str(ROOT / "scripts" / "lab" / "cut_turns.py"))
    actions = np.zeros((4, 7))
    actions[0, 3], actions[1, 4], actions[2, :3] = -1.0, 0.25, 9.0
    assert script["left"](actions, np.full(7, -0.5), np.full(7, 0.5)) == pytest.approx(0.75 / 1.25)


def test_how_far_off_a_place_is_said_to_be(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "lab"))
    script = runpy.run_path(str(ROOT / "scripts" / "lab" / "where_error.py"))
    targets = torch.tensor([[0.0, 0.0, 0.0], [torch.nan] * 3]).repeat(3, 1, 1)
    said = torch.zeros(3, 2, 3)
    said[:, 0] = torch.tensor([[0.3, 0.4, 0.0], [0.0, 0.1, 0.0], [0.0, 0.0, 9.0]])  # tenths of a metre
    batch = Batch(None, torch.zeros(3, 8, 7), targets, (0, 0, 0))
    assert script["errors"](said, batch) == pytest.approx([50.0, np.nan], nan_ok=True)


def test_verdicts_are_simulated(tmp_path):
    printed = script("simulate_verdicts.py", "--draws", "8", "--out", str(tmp_path / "verdicts.md"))
    assert "stop early, must-see 5: passed" in printed and "| three equal repeats" in (tmp_path / "verdicts.md").read_text()


def test_the_committed_verdicts_hold_what_they_promise():
    """False alarms within three standard errors of the level, power within three points of what `plan` tells."""
    rows = [line.strip("| ").split(" | ") for line in (ROOT / "results" / "verdicts.md").read_text().splitlines() if "±" in line]
    promised = [(row[3], *map(float, row[4].split(" ± "))) for row in rows if len(row) == 7 and row[3]]
    alarms = [(found, error) for promise, found, error in promised if promise == "at most 5"]
    powers = [(float(promise), found) for promise, found, _ in promised if promise[0].isdigit()]
    assert len(alarms) > 15 and all(found <= 5 + 3 * error for found, error in alarms)
    assert len(powers) > 18 and all(abs(found - promise) <= 3 for promise, found in powers)
    (wrong,) = [found for promise, found, _ in promised if promise == "more than 5"]
    assert wrong > 10  # equal repeats counted as init states would be false alarms
