"""The files for GitHub: they have the form that it reads, and what they run runs here."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from .conftest import ROOT
from .made_runs import a_run
from .pages import FENCE, PAGES, read

ACTION, WORKFLOW = ROOT / "action.yml", ROOT / ".github" / "workflows" / "ci.yml"
STEPS = {step["name"]: step for step in yaml.safe_load(ACTION.read_text())["runs"]["steps"] if "name" in step}


@pytest.mark.parametrize(("kind", "file"), [("github-actions", ACTION), ("github-workflows", WORKFLOW)])
def test_github_would_read_it(kind, file):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{kind}", str(file)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def users() -> list[dict]:
    """The steps, in our workflow and in the documentation, that use the action."""
    texts = [WORKFLOW.read_text(), *(body for page in PAGES for kind, body in FENCE.findall(read(page)) if kind == "yaml")]
    jobs = [job for text in texts for job in (yaml.safe_load(text).get("jobs") or {}).values()]
    return [step for job in jobs for step in job["steps"] if step.get("uses", "").startswith(("./", "OWNER/"))]


def test_who_uses_the_action_gives_inputs_that_it_has():
    inputs = yaml.safe_load(ACTION.read_text())["inputs"]
    required = {name for name, each in inputs.items() if each.get("required")}
    assert len(users()) >= 4
    for step in users():
        assert required <= step["with"].keys() <= inputs.keys()


def test_every_input_is_documented_and_used():
    text, page = ACTION.read_text(), read(ROOT / "docs" / "ci.md")
    for name in yaml.safe_load(text)["inputs"]:
        assert f"inputs.{name}" in text and re.search(rf"^\|.*`{name}`.*\|", page, re.MULTILINE), name


def test_no_input_is_pasted_into_a_script():
    """`${{ }}` in a script would run what an input says."""
    assert not [name for name, step in STEPS.items() if "${{" in step.get("run", "")]


class Runner:
    """What GitHub gives a step, in a folder of its own."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.output, self.summary = folder / "output", folder / "summary.md"

    def run(self, name: str, **values: str) -> subprocess.CompletedProcess:
        program = Path(sys.executable).with_name("vla-bench")
        given = {"VLA_BENCH": str(program), "GITHUB_OUTPUT": str(self.output), "GITHUB_STEP_SUMMARY": str(self.summary)}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[name]["run"]]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **given, **values}
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


def judge(runner: Runner, outcomes: str, arguments: str = "", inconclusive: str = "fail") -> subprocess.CompletedProcess:
    a_run(runner.folder / "run", outcomes)
    a_run(runner.folder / "base", 50 * "s")
    return runner.run("Gate", BASELINE="base", RUN="run", RULE="detect", ARGUMENTS=arguments, INCONCLUSIVE=inconclusive)


@pytest.mark.parametrize(
    ("outcomes", "arguments", "inconclusive", "code", "finding"),
    [
        (50 * "s", "--must-see=20", "fail", 0, "0"),
        (40 * "s" + 10 * "f", "--must-see=20\n--alpha=0.01\n", "fail", 1, "1"),
        (50 * "s", "", "fail", 3, "3"),
        (50 * "s", "", "pass", 0, "3"),
        (10 * "s" + 40 * "e", "", "pass", 5, "5"),
    ],
)
def test_the_gate_decides_the_job(runner, outcomes, arguments, inconclusive, code, finding):
    done = judge(runner, outcomes, arguments, inconclusive)
    assert done.returncode == code, done.stderr
    assert runner.output.read_text() == f"finding={finding}\n"
    assert "base" in runner.summary.read_text()


def test_an_episode_is_evaluated_and_shards_are_joined(runner):
    common = {
        "MODEL": "expert",
        "SUITE": "object",
        "ARGUMENTS": "--tasks=0\n--init-states=0-1\n--assets=primitive\n",
        "SHARDS": "2",
    }
    for shard in ("1", "2"):
        done = runner.run("Evaluate", SHARD=shard, OUT=f"vla-bench-runs/mine-{shard}", **common)
        assert done.returncode == 0, done.stderr
    joined = runner.run("Join the shards", NAME="mine")
    assert joined.returncode == 0, joined.stderr
    lines = (runner.folder / "vla-bench-runs" / "mine-whole" / "episodes.jsonl").read_text().splitlines()
    assert len(lines) == 2
