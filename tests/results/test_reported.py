"""Runs as a report takes them: folders of runs, what cannot be read, and which can be compared."""

import pytest

from vla_bench.errors import DamagedRunError, NotComparableError, RecordError, UsageError
from vla_bench.results.reported import comparable_groups, read_reported

from ..conftest import ROOT
from ..made_runs import a_run, with_tasks


def test_a_folder_of_runs_stands_for_its_runs(tmp_path):
    for name in ("b", "a"):
        a_run(tmp_path / name, "ssf", tokens=12.0)
    (tmp_path / "notes.txt").write_text("no run")
    found = read_reported([tmp_path])
    assert [run.name for run in found.runs] == ["a", "b"] and found.left_out == ()
    assert found.runs[0].row.rate.n == 3 and found.runs[0].suites["object"]["kept_tokens_mean"] == 12.0
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no run"):
        read_reported([tmp_path / "empty"])


def test_what_cannot_be_read_is_left_out_and_named(tmp_path):
    good, bad = a_run(tmp_path / "good", "ss"), a_run(tmp_path / "bad", "ss")
    (bad / "episodes.jsonl").write_text("{}\n")
    found = read_reported([good, bad, tmp_path / "nothing.json"])
    assert [run.name for run in found.runs] == ["good"]
    assert [(path.name, type(error)) for path, error in found.left_out] == [
        ("bad", DamagedRunError),
        ("nothing.json", RecordError),
    ]
    with pytest.raises(DamagedRunError):
        read_reported([bad])


def test_errors_are_missing_and_too_many_are_no_verdict(tmp_path):
    with_errors = read_reported([a_run(tmp_path / "run", "s" * 30 + "ee")]).runs[0]
    assert (with_errors.errors, with_errors.covered, with_errors.row.rate.n) == (2, False, 30)
    few = read_reported([a_run(tmp_path / "few", "s" * 99 + "e")]).runs[0]
    assert few.errors == 1 and few.covered


def test_runs_of_several_worlds_are_grouped_with_the_reason(tmp_path):
    runs = [a_run(tmp_path / "a", "ss"), a_run(tmp_path / "b", "sf", gl_backend="osmesa"), a_run(tmp_path / "c", "ff")]
    runs += [a_run(tmp_path / "d", "ss", gl_backend="osmesa"), with_tasks(tmp_path / "e", {("goal", 1): "ss"})]
    (first, none), (second, other), (third, apart) = comparable_groups(read_reported(runs).runs)
    assert [run.name for run in first] == ["a", "c"] and none is None
    assert [run.name for run in second] == ["b", "d"] and isinstance(other, NotComparableError) and "osmesa" in other.message
    assert [run.name for run in third] == ["e"] and "no episode in common" in apart.message


def test_a_summary_has_what_its_run_said():
    run = read_reported([ROOT / "results" / "baselines" / "nano-lightvla.json"]).runs[0]
    assert (run.model, run.pruner, run.folders) == ("nano-lightvla", "lightvla", ()) and run.device.startswith("Intel")
    assert run.suites["object"]["kept_tokens_mean"] == pytest.approx(10.8, abs=0.05)
