"""`vla-bench runs`: what lies below a folder, one row each; damage is a row, and the walk has an end."""

import json
import os
import subprocess
import sys

import pytest

from vla_bench.errors import RecordError
from vla_bench.results import found as found_module
from vla_bench.results.listed import list_runs
from vla_bench.results.sources import source
from vla_bench.results.summary_file import summary_of, write_summary
from vla_bench.results.sweep_file import RowRun, SweepFile, SweepRow, write_sweep
from vla_bench.values import ListedStatus, Order, RunKind

from ..conftest import ROOT
from ..made_runs import a_run, with_tasks


@pytest.fixture
def results(tmp_path):
    """A run, a partial one, a damaged one, a summary, a sweep of two rows of which one has begun, and what is none of these."""
    for folder in ("runs", "sweeps/mine", "latency"):
        (tmp_path / folder).mkdir(parents=True)
    good = a_run(tmp_path / "runs" / "good", "sssf", 12.0, policy={"pruner": "lightvla"})
    partial = with_tasks(tmp_path / "runs" / "partial", {("goal", 2): "sf"}, status="interrupted")
    about = json.loads((partial / "run.json").read_text()) | {"planned": {"goal/2": "0-4"}}
    (partial / "run.json").write_text(json.dumps(about))
    bad = a_run(tmp_path / "runs" / "bad", "ss")
    (bad / "episodes.jsonl").write_text("{}\n")
    write_summary(tmp_path / "kept.json", summary_of(*source(good).read()))
    a_run(tmp_path / "sweeps" / "mine" / "own", "ss")
    rows = SweepRow("own", "nano", runs=(RowRun("own", ("object",)),)), SweepRow("grid", "nano", "grid(keep=9)")
    write_sweep(tmp_path / "sweeps" / "mine", SweepFile("Which?", "vla-bench sweep", "own", rows))
    (tmp_path / "latency" / "times.json").write_text('{"rows": [], "command": "vla-bench latency"}')
    (tmp_path / "notes.json").write_text("no JSON")
    (good / "videos").mkdir()
    a_run(good / "videos" / "hidden", "ss")  # nothing below a run folder is one
    os.symlink(tmp_path, tmp_path / "runs" / "round")
    os.mkfifo(tmp_path / "pipe.json")
    return tmp_path


def listed(results, *statuses, order=Order.PATH):
    rows, notes = list_runs([results], statuses, order)
    assert not notes
    return {str(row.path.relative_to(results)): row for row in rows}


def test_every_run_summary_and_sweep_is_a_row(results):
    rows = listed(results)
    assert list(rows) == ["kept.json", "runs/bad", "runs/good", "runs/partial", "sweeps/mine", "sweeps/mine/own"]
    good, partial, sweep = rows["runs/good"], rows["runs/partial"], rows["sweeps/mine"]
    assert (good.model, good.pruner, good.suites, good.rate.n, good.rate.rate) == ("noop", "lightvla", ("object",), 4, 0.75)
    assert (partial.status, partial.rate.n, partial.planned, partial.pruner) == (ListedStatus.INTERRUPTED, 2, 5, "")
    assert (rows["kept.json"].kind, rows["kept.json"].rate) == (RunKind.SUMMARY, good.rate)
    assert (sweep.kind, sweep.status, sweep.pruner) == (RunKind.SWEEP, ListedStatus.INTERRUPTED, "1 of 2 rows")


def test_damage_is_a_row_that_says_so(results):
    (row,) = listed(results, ListedStatus.DAMAGED).values()
    assert row.path.name == "bad" and "episodes.jsonl:1" in row.problem.message and "--repair" in row.problem.fix
    text = (results / "kept.json").read_text()
    (results / "kept.json").write_text(text[:-100])
    (results / "sweeps" / "mine" / "sweep.json").write_text("{}")
    unreadable = listed(results, ListedStatus.UNREADABLE)
    assert list(unreadable) == ["kept.json", "sweeps/mine"] and unreadable["kept.json"].problem is not None


def test_orders(results):
    assert [row.rate.rate for row in listed(results, ListedStatus.COMPLETE, order=Order.RATE).values()] == [1.0, 0.75, 0.75]
    assert next(iter(listed(results, order=Order.N).values())).rate.n == 4
    path = results / "runs" / "partial" / "run.json"
    path.write_text(path.read_text().replace("2026-01-01", "2026-02-01"))
    assert next(iter(listed(results, order=Order.DATE))) == "runs/partial"


def test_the_walk_has_an_end_and_says_so(results, monkeypatch):
    deep = results.joinpath(*"abcdefgh")
    deep.mkdir(parents=True)
    a_run(deep / "run", "s")
    assert any("too deep" in note for note in list_runs([results])[1])
    monkeypatch.setattr(found_module, "MOST", 5)
    (note,) = list_runs([results])[1]
    assert "more than 5 files" in note
    with pytest.raises(RecordError, match="does not exist"):
        list_runs([results / "nowhere"])


def test_a_run_and_a_summary_can_be_named_themselves(results):
    rows, _ = list_runs([results / "kept.json", results / "runs" / "good", results / "runs"])
    assert [row.path.name for row in rows] == ["kept.json", "bad", "good", "partial"]


def test_the_command_prints_a_table_json_and_csv_and_imports_nothing_heavy(results):
    code = """
import json, sys
from typer.testing import CliRunner
from vla_bench.cli import app
done = [CliRunner().invoke(app, ["runs", sys.argv[1], "--format", form]) for form in ("human", "json", "csv")]
assert [each.exit_code for each in done] == [0, 0, 0], done
heavy = {"torch", "mujoco", "numpy", "pandas", "scipy", "matplotlib"} & set(sys.modules)
assert not heavy, heavy
print(json.dumps([each.stdout for each in done]))
"""
    done = subprocess.run([sys.executable, "-c", code, str(results)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    table, text, csv = json.loads(done.stdout)
    assert "75.0 [30.1, 95.4]" in table and "2/5" in table and "damaged" in table
    assert csv.count("\n") == 7 and "/runs/partial,run,interrupted,noop,,goal,2,5,0.5," in csv
    (own,) = [run for run in json.loads(text)["runs"] if run["path"].endswith("mine/own")]
    assert (own["kind"], own["n"], own["rate"], own["problem"]) == ("run", 2, 1.0, None)


def test_the_committed_results_can_all_be_read():
    rows, notes = list_runs([ROOT / "results"])
    assert len(rows) > 50 and not notes and not [row.path for row in rows if row.problem is not None]
