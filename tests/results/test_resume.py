"""The command that goes on with a run."""

from dataclasses import replace
from pathlib import Path

import pytest

from vla_bench.results.resume import resume_command

from ..made_runs import run


@pytest.mark.parametrize(
    ("command", "again"),
    [
        ("vla-bench eval --suite goal", "vla-bench eval --suite goal --out a/run"),
        ("vla-bench eval --out old --fresh --trials 3", "vla-bench eval --trials 3 --out a/run"),
        ("vla-bench eval --out=old", "vla-bench eval --out a/run"),
        ("vla-bench eval --shard 1/2 && vla-bench eval", "vla-bench eval --shard 1/2 --out a/run && vla-bench eval --out a/run"),
        ("vla-bench noise --suite goal --out noise.json", "vla-bench noise --suite goal --out noise.json"),
    ],
)
def test_the_command_that_resumes(command, again, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resume_command(replace(run(), command=command), Path("a/run")) == again


@pytest.mark.parametrize("name", ["sweep controls", "ablate"])
def test_a_run_of_a_sweep_is_resumed_with_the_sweep(name, tmp_path):
    (tmp_path / "sweep.json").write_text("{}")
    made = replace(run(), command=f"vla-bench {name} --out elsewhere --suite goal")
    assert resume_command(made, tmp_path / "own") == f"vla-bench {name} --suite goal --out {tmp_path}"
