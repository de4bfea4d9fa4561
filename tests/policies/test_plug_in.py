"""A policy of another package: installed for real, found by its entry point, listed and run by name."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from vla_bench.policies.base import Policy
from vla_bench.records import read_actions, read_episodes, read_run

from ..conftest import ASSETS, ROOT

SOURCE = ROOT / "tests" / "plug_in_policy"
ONE = ("--suite", "object", "--tasks", "0", "--init-states", "0", "--assets", ASSETS, "--workers", "1")


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The environment with the example package installed."""
    place = tmp_path_factory.mktemp("plug_in_policy")
    source = shutil.copytree(SOURCE, place / "source")  # building writes beside it
    command = "-m pip install --quiet --no-deps --no-build-isolation --disable-pip-version-check --target".split()
    subprocess.run([sys.executable, *command, str(place), str(source)], check=True, capture_output=True)
    inherited = os.environ.get("PYTHONPATH", "")
    return os.environ | {"PYTHONPATH": f"{place}:{inherited}", "OMP_NUM_THREADS": "1"}


def run(environment, *arguments):
    command = [sys.executable, "-m", "vla_bench", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def with_module(environment, folder, text):
    """The same installed package, with this in place of its module."""
    (folder / "forward.py").write_text(text)
    return environment | {"PYTHONPATH": f"{folder}:{environment['PYTHONPATH']}"}


def test_the_documented_example_is_the_package_that_is_installed():
    documented = inspect.getdoc(Policy)
    module, project = ((SOURCE / file).read_text() for file in ("forward.py", "pyproject.toml"))
    entry = project[project.index("[project.entry-points") :].split("\n\n")[0]
    for text in (module.strip(), entry):
        assert textwrap.indent(text, "    ") in documented


def test_it_is_listed_and_runs_an_episode(environment, tmp_path):
    listed = {entry["name"]: entry for entry in json.loads(run(environment, "models", "--format", "json").stdout)}
    assert listed["forward"]["kind"] == "plug-in" and listed["forward"]["at_hand"] == "forward:Forward"
    done = run(environment, "eval", *ONE, "--model", "forward", "--video", "none", "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    (episode,) = read_episodes(tmp_path)
    assert episode.status.value == "failure" and read_run(tmp_path).config["model"] == "forward"
    assert set(read_actions(tmp_path, episode.key)[:, 0]) == {0.3}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("eval", "--model", "forwrad"), 'Did you mean "forward"'),
        (("eval", "--model", "forward", "--pruner", "fastv"), "forward has no image tokens to prune"),
        (("eval", "--model", "forward", "--device", "cuda"), "forward has no use for a GPU"),
        (("eval", "--model", "forward", "--seed", "3"), "forward draws no random numbers"),
        (("flops", "--model", "forward"), "forward is a plug-in without a network"),
        (("agree", "--model", "forward", "--pruner", "fastv"), "forward is not a model: it has no image tokens to prune"),
    ],
)
def test_what_it_does_not_take_is_refused(environment, arguments, message):
    done = run(environment, *arguments)
    assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr


def test_options_that_it_takes_reach_its_constructor(environment, tmp_path):
    takes = (
        (SOURCE / "forward.py")
        .read_text()
        .replace(
            '    name = "forward"\n',
            '    name = "forward"\n    takes = ("seed", "suites", "device")\n\n'
            "    def __init__(self, seed, suites, device):\n"
            '        self.identity = {"given": [seed, list(suites), str(device)]}\n\n',
        )
    )
    changed = with_module(environment, tmp_path, takes)
    done = run(changed, "eval", *ONE, "--model", "forward", "--seed", "3", "--device", "cuda", "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert read_run(tmp_path / "run").config["policy"] == {"given": [3, ["object"], "cuda"]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_of_this_name\n", "cannot be imported: ModuleNotFoundError"),
        ("class Forward: pass\n", "is not a subclass of vla_bench.Policy"),
        ("from vla_bench import Policy\nclass Forward(Policy): pass\n", "cannot be made: TypeError"),
        (
            "from vla_bench import Policy\nclass Forward(Policy):\n    def act(self, seen): pass\n",
            "must have a name, and a sight",
        ),
        ("from vla_bench import Policy\nclass Forward(Policy):\n    takes = ('speed',)\n", "takes the option speed"),
    ],
)
def test_one_that_cannot_be_used_is_one_error_and_harms_nobody_else(environment, tmp_path, text, message):
    broken = with_module(environment, tmp_path, text)
    listed = [entry["name"] for entry in json.loads(run(broken, "models", "--format", "json").stdout)]
    assert "forward" in listed and "nano-oft" in listed  # which imports none
    used = run(broken, "eval", *ONE, "--model", "forward", "--out", str(tmp_path / "run"))
    assert used.returncode == 2 and message in used.stderr and "Traceback" not in used.stderr
    assert not (tmp_path / "run").exists()
