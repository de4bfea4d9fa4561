"""A pruner of another package: installed for real, found by its entry point, listed and used by name."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest

from vla_bench.queries import read_queries

from ..conftest import ROOT


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """With the example package installed beside ours."""
    place = tmp_path_factory.mktemp("plug_in")
    source = shutil.copytree(ROOT / "tests" / "plug_in", place / "source")  # building writes beside it
    command = "-m pip install --quiet --no-deps --no-build-isolation --disable-pip-version-check --target".split()
    subprocess.run([sys.executable, *command, str(place), str(source)], check=True, capture_output=True)
    return os.environ | {"PYTHONPATH": str(place), "OMP_NUM_THREADS": "1"}


def run(environment, *arguments):
    command = [sys.executable, "-m", "vla_bench", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_it_is_listed_with_its_parameters(environment):
    listed = {entry["name"]: entry for entry in json.loads(run(environment, "pruners", "--format", "json").stdout)}
    assert listed["keep-first"]["parameters"] == {"keep": 0.5} and listed["keep-first"]["sites"] == ["LLM input"]
    assert listed["keep-first"]["summary"] == "The first image tokens, whatever they show" and listed["fastv"]["problem"] is None


def test_it_prunes_and_can_be_wrapped(environment):
    pruners = "keep-first(keep=10)", "plus-random(keep-first, share=0.5)", "keep-first(keep=1)"
    done = run(environment, "agree", *(word for text in pruners for word in ("--pruner", text)), "--format", "json")
    assert done.returncode == 0, done.stderr
    rows = {row["pruner"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["none"]["kept"] == 128 and rows["none"]["distance"] == 0
    assert rows["keep-first(keep=10)"]["kept"] == 10 and rows["keep-first(keep=10)"]["distance"] > 0
    assert rows["plus-random(keep-first, share=0.5)"]["kept"] == 96
    assert rows["keep-first(keep=1)"]["kept"] == 128 and rows["keep-first(keep=1)"]["distance"] == 0


def test_its_pass_is_traced_and_counted_like_any_other(environment, tmp_path):
    """Which patches it kept, and GFLOP in every command: of a package that defines no more than what it keeps."""
    out, pruner = tmp_path / "run", "keep-first(keep=10)"
    what = ["--suite", "object", "--tasks", "0", "--init-states", "0", "--model", "nano-oft", "--assets", "primitive"]
    done = run(environment, "eval", *what, "--pruner", pruner, "--video", "none", "--workers", "1", "--out", str(out))
    assert done.returncode == 0, done.stderr
    (queries,) = read_queries(out).values()
    assert all(query.trace.kept_ids(2, 64) == [list(range(10)), []] and query.kept == (10, 0) for query in queries)
    prompt = str(queries[0].prompt_tokens)
    counted = ["flops", "--model", "nano-oft", "--pruner", "keep-first", "--kept", "10", "--prompt-tokens", prompt]
    closed = json.loads(run(environment, *counted, "--format", "json").stdout)
    of_run = json.loads(run(environment, "flops", "--from-run", str(out), "--format", "json").stdout)
    assert closed["kept_tokens"] == of_run["kept_tokens"] == 10
    assert closed["total_gflops"] == pytest.approx(of_run["total_gflops"]) == pytest.approx(queries[0].gflops, abs=1e-6)
    refused = run(environment, "flops", "--pruner", "keep-first")
    assert refused.returncode == 2 and "--kept 78" in refused.stderr
    timed = run(environment, "latency", "--model", "nano-oft", "--pruner", pruner, "--queries", "8", "--format", "json")
    rows = json.loads(timed.stdout)["rows"]
    assert rows[0]["kept"][0] == 10 and 0 < rows[0]["gflops"] < rows[1]["gflops"]
    (row, _) = json.loads(run(environment, "compare", str(out), str(out), "--format", "json").stdout)
    assert row["gflops_mean"] == pytest.approx(queries[0].gflops) and row["kept_tokens_sd"] == 0


def test_one_that_cannot_be_imported_harms_nobody_else(environment, tmp_path):
    (tmp_path / "keep_first.py").write_text("import nothing_of_this_name\n")
    broken = environment | {"PYTHONPATH": f"{tmp_path}:{environment['PYTHONPATH']}"}
    listed = {entry["name"]: entry for entry in json.loads(run(broken, "pruners", "--format", "json").stdout)}
    assert "nothing_of_this_name" in listed["keep-first"]["problem"] and listed["fastv"]["problem"] is None
    used = run(broken, "agree", "--pruner", "keep-first")
    assert used.returncode == 2 and "cannot be imported" in used.stderr and "Traceback" not in used.stderr
    source = (ROOT / "tests" / "plug_in" / "keep_first.py").read_text()
    (tmp_path / "keep_first.py").write_text(source.replace("keep: float = 0.5", "keep: float"))
    listed = {entry["name"]: entry for entry in json.loads(run(broken, "pruners", "--format", "json").stdout)}
    assert "keep" in listed["keep-first"]["problem"] and listed["fastv"]["problem"] is None
