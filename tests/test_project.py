"""What stands around the package: the Makefile, and the check of the wheel."""

import re
import shutil
import subprocess
import zipfile

import pytest

from .conftest import ROOT


def test_make_help_lists_every_target():
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)
    printed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert sorted(line.split()[0] for line in printed.splitlines()) == sorted(phony.split())


@pytest.fixture
def checkout(tmp_path):
    """A checkout of two files, one of which the wheel holds elsewhere."""
    for name in ("vla_bench/a.py", "suites/long.toml", "tests/test_a.py"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "check_wheel.sh", tmp_path / "scripts")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (["vla_bench/a.py"], "< vla_bench/data/suites/long.toml"),
        (["vla_bench/a.py", "vla_bench/data/suites/long.toml", "tests/test_a.py"], "> tests/test_a.py"),
    ],
)
def test_a_wheel_with_other_files_than_the_checkout_is_refused(checkout, packed, said):
    with zipfile.ZipFile(checkout / "a.whl", "w") as wheel:
        for name in (*packed, "vla_bench-1.dist-info/METADATA"):
            wheel.writestr(name, "")
    done = subprocess.run(["sh", "scripts/check_wheel.sh", "a.whl"], cwd=checkout, capture_output=True, text=True)
    different = [line for line in done.stderr.splitlines() if line.startswith(("<", ">"))]
    assert done.returncode == 1 and different == [said]


def test_what_is_no_wheel_is_said(checkout):
    done = subprocess.run(["sh", "scripts/check_wheel.sh", "missing.whl"], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 2 and "make wheel" in done.stderr
