"""`vla-bench report`: what can be made is made, what is missing is said, and the exit code tells."""

import re
import subprocess
import sys

import pytest

from vla_bench.query_record import QueryRecord
from vla_bench.trace import QueryTrace, pack

from ..conftest import ROOT
from ..made_runs import a_run, record, with_tasks

BASELINES = [str(ROOT / "results" / "baselines" / f"nano-{name}.json") for name in ("oft", "lightvla")]


def test_all_files_are_there_and_the_page_links_to_them(cli, tmp_path):
    latency = str(ROOT / "results" / "latency" / "nano-cpu-1.json")
    done = cli("report", *BASELINES, "--paper", "--latency", latency, "--out", "out")
    assert done.exit_code == 0 and done.stdout.endswith("report.md: 9 tables, 5 figures\n")
    page = (tmp_path / "out" / "report.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert len(links) == 9 * 2 + 5 * 4 and not [link for link in links if not (tmp_path / "out" / link).is_file()]
    document = (tmp_path / "out" / "report.tex").read_text()
    for name in re.findall(r"\\(?:fitted|input)\{((?:tables)/[^}]+)\}", document):
        assert (tmp_path / "out" / f"{name}.tex").is_file()
    assert document.count(r"\begin{minipage}") == document.count(r"\end{minipage}") == 13
    assert (
        "Missing: nano-oft is a summary, without its queries: give the run folder" in page and "missing: nano-oft" in done.stderr
    )


def test_a_report_of_summaries_imports_neither_torch_nor_the_simulator():
    code = f"""
import sys
from pathlib import Path
from vla_bench.report.parts import report_parts
from vla_bench.results.reported import read_reported
report_parts(read_reported([Path(path) for path in {BASELINES}]), (), True)
assert not {{"torch", "mujoco", "robosuite", "matplotlib", "pandas"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("made", "code", "said"),
    [
        ({"a": "ss", "b": "sf"}, 0, "differences to a"),
        ({"a": "ss"}, 0, "differences take two runs or more"),
        ({"a": ""}, 0, "no episode has ended without an error"),
        ({"a": "s" * 20 + "e"}, 5, "1 of 21 init states ended in errors, too many for a verdict"),
        ({"a": "ss", "b": "ee"}, 5, "all 2 init states"),
    ],
)
def test_bad_and_odd_runs(cli, tmp_path, made, code, said):
    folders = [str(a_run(tmp_path / name, outcomes, 12.0, 0.5)) for name, outcomes in made.items()]
    done = cli("report", *folders, "--out", "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert done.exit_code == code and said in page.lower().replace("\n", " ")


def test_another_world_is_reported_beside_and_not_compared(cli, tmp_path):
    folders = [str(a_run(tmp_path / name, "sf", gl_backend=backend)) for name, backend in (("a", "egl"), ("b", "osmesa"))]
    done = cli("report", *folders, "--out", "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert done.exit_code == 4 and "Missing: b against a" in page and "| b | 50.0 [9.5, 90.5] |" in page


def test_a_run_that_was_stopped_early_has_no_differences(cli, tmp_path):
    whole = with_tasks(tmp_path / "whole", {("object", 3): "ssff"})
    early = with_tasks(tmp_path / "early", {("object", 3): "ff"}, status="stopped")
    done = cli("report", str(whole), str(early), "--out", "out")
    page = (tmp_path / "out" / "report.md").read_text()
    assert done.exit_code == 4 and "Missing: early against whole" in page and "early was stopped early because of its" in page


def test_damage_costs_that_run_alone(cli, tmp_path):
    good, bad = a_run(tmp_path / "good", "sf"), a_run(tmp_path / "bad", "sf")
    (bad / "episodes.jsonl").write_text("{}\n")
    done = cli("report", str(good), str(bad), "--out", "out")
    assert (
        done.exit_code == 4 and "bad is left out" in done.stderr and "good" in (tmp_path / "out/tables/success.csv").read_text()
    )
    assert cli("report", str(bad), "--out", "other").exit_code == 4 and not (tmp_path / "other").exists()


def test_runs_before_the_trace_have_counts_and_no_map(cli, tmp_path):
    run = record(tmp_path / "old", {0: [QueryRecord.of(0, (3, 4), 9, {})]})
    page = cli("report", str(run), "--out", "out") and (tmp_path / "out" / "report.md").read_text()
    assert "old: its queries do not say which patches were kept" in page and "kept-tokens.png" in page and "token-use" not in page


def test_traces_become_a_map(cli, tmp_path):
    traces = [QueryRecord.of(0, (1, 1), 9, {"vision": 2.0}, trace=QueryTrace((), (pack([5], 64), pack([6], 64))))]
    done = cli("report", str(record(tmp_path / "run", {0: traces})), "--out", "out")
    assert done.exit_code == 0 and (tmp_path / "out" / "figures" / "token-use-1.pdf").is_file()
    assert "camera 0,5,1,1" in (tmp_path / "out" / "figures" / "token-use-1.csv").read_text()
    assert "one of them" not in done.stderr and "100.0 |" in (tmp_path / "out" / "tables" / "token-use.md").read_text()


def test_what_is_no_run_and_what_is_no_folder(cli, tmp_path):
    (tmp_path / "file").write_text("")
    assert cli("report", str(tmp_path), "--out", "out").exit_code == 2
    assert cli("report", BASELINES[0], "--out", "file").exit_code == 6
    assert cli("report", BASELINES[0], "--out", "out", "--latency", "file").exit_code == 6
