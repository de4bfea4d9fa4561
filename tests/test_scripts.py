"""The scripts beside the package run as their first lines say."""

import subprocess
import sys

import pytest

from .conftest import ROOT


def script(name: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / name), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_run_survives_being_killed():
    printed = script("kill_storm.py", "--kills", "4", "--episodes", "10", "--model", "noop")
    assert "same episodes, once each, same states at their ends" in printed


def test_contact_sheet(tmp_path):
    from PIL import Image

    script("contact_sheet.py", "--suite", "goal", "--size", "64", "--out", str(tmp_path / "sheet.png"))
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.size == (640, 80) and len(picture.getcolors(maxcolors=100_000)) > 500


def test_bench_proves_that_looking_changes_nothing():
    printed = script("bench_world.py", "--assets", "primitive", "--steps", "16", "--rounds", "1")
    assert "same states, same images" in printed and "ratio" in printed


@pytest.mark.parametrize(("python", "fine"), [((3, 9), False), ((3, 10), True), ((3, 12), True), ((3, 13), False)])
def test_check_python(monkeypatch, python, fine):
    import runpy

    monkeypatch.setattr(sys, "version_info", python + (0, "final", 0))
    if fine:
        runpy.run_path(str(ROOT / "scripts" / "check_python.py"))
    else:
        with pytest.raises(SystemExit, match=r"needs Python 3.10 to 3.12"):
            runpy.run_path(str(ROOT / "scripts" / "check_python.py"))
