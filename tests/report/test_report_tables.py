"""Tables of a report: every published cell beside ours, marked, with its footnotes; our rates with interval and n."""

import csv
import io
import re

import pytest

from vla_bench import paper
from vla_bench.report.ablation_tables import ABLATIONS, ablation_table
from vla_bench.report.comparison_tables import compared, difference_tables, task_table
from vla_bench.report.cost_table import cost_table
from vla_bench.report.latex import MARKS, latex_table, marked, split_marks
from vla_bench.report.report_table import csv_text
from vla_bench.report.success_table import success_table
from vla_bench.report.timing_tables import read_timings, timing_table
from vla_bench.results.reported import read_reported

from ..conftest import ROOT
from ..made_runs import a_run

RESULTS = ROOT / "results"
NAMES = ["baselines/nano-oft", "baselines/nano-lightvla", "stages/nano-lightvla-no-noise", "stages/nano-lightvla-constant-noise"]


@pytest.fixture(scope="module")
def runs():
    return read_reported([RESULTS / f"{name}.json" for name in NAMES]).runs


def plain(cell):
    return split_marks(cell)[0]


@pytest.fixture(scope="module")
def tables(runs):
    """Tables I to V."""
    return [success_table(runs, True), cost_table(runs, True), *(ablation_table(each, runs, True) for each in ABLATIONS)]


@pytest.mark.parametrize("number", range(1, 6))
def test_every_printed_cell_of_the_paper_is_there(tables, number):
    table = tables[number - 1]
    ours = [row for row in table.rows if "†" in row[0]]
    with open(paper.paper_dir() / f"table{number}.csv", encoding="utf-8", newline="") as file:
        printed = list(csv.DictReader(file))
    assert len(ours) == len(printed)
    for row, cells in zip(ours, printed, strict=True):
        shown = [plain(cell).removesuffix(" †").replace(" ± ", "±") for cell in row]
        missing = [cell for cell in cells.values() if cell and cell not in shown]
        assert not missing, (row, missing)
    assert all("†" not in row[0] for row in table.rows[: -len(printed)]) and "**" not in table.markdown().partition("\n\n")[0]
    assert r"\textbf" not in table.latex()


def test_each_contradiction_is_a_footnote_at_its_cell(tables):
    success, cost, noise, _, queries = tables
    flash = next(row for row in success.rows if row[0] == "FlashVLA †")
    assert "74.4 ¹" in flash and "73.7 in Table II" in success.footnotes[1]
    cells = {plain(cell): split_marks(cell)[1] for row in cost.rows if row[0] == "OpenVLA-OFT †" for cell in row}
    said = {
        cell: cost.footnotes[int(marks.translate(str.maketrans(MARKS, "0123456789")))] for cell, marks in cells.items() if marks
    }
    assert "59 ms" in said["34"] and "97.1" in said["94.8"]
    assert any("mixes units" in text for text in cost.footnotes.values()) and any("3.6" in t for t in cost.footnotes.values())
    assert any("two Tables V" in text for text in queries.footnotes.values()) and "97.6 ⁴" in queries.rows[-1]
    for table in tables:
        used = {
            int(n.translate(str.maketrans(MARKS, "0123456789")))
            for n in re.findall(f"[{MARKS}]+", " ".join(map(str, table.rows)))
        }
        used |= {int(n.translate(str.maketrans(MARKS, "0123456789"))) for n in re.findall(f"[{MARKS}]+", " ".join(table.columns))}
        assert used == set(table.footnotes)


def test_our_rates_have_their_interval_and_n(runs):
    table = success_table(runs)
    assert table.rows[1][:2] == ["nano-lightvla", "80.8 [77.1, 84.0]"] and table.rows[1][5:7] == ["74.7 [72.7, 76.6]", "2000"]
    assert "Wilson" in table.notes[0] and not table.footnotes
    line = list(csv.DictReader(io.StringIO(csv_text(table.data))))[1]
    assert float(line["long"]) == 0.41 and line["long_n"] == "500" and float(line["tokens_object_mean"]) < 11


def test_ablations_are_paired_with_their_first_row(runs):
    noise = ablation_table(ABLATIONS[0], runs)
    assert [row[1] for row in noise.rows] == ["LightVLA", "without noise", "without schedule (constant noise)"]
    assert noise.rows[1][-3:] == ["-9.2 [-17.8, -0.6]", "0.053", "not separated"] and noise.rows[0][-3:] == [""] * 3
    assert {row[7] for row in noise.rows} == {"120"}  # the paired init states
    assert ablation_table(ABLATIONS[1], runs) is None
    alone = ablation_table(ABLATIONS[0], runs[2:])
    assert "no differences: LightVLA is not among the runs" in alone.notes and "verdict" not in alone.columns


def test_more_and_fewer_tokens_are_known_by_their_pruner(tmp_path):
    made = {
        "whole": "lightvla",
        "more": "plus-random(lightvla,seed=0)",
        "fewer": "drop-random(lightvla,seed=0)",
        "other": "fastv",
    }
    folders = [
        a_run(tmp_path / name, "ssf" if name == "whole" else "sff", model="nano-lightvla", policy={"pruner": pruner})
        for name, pruner in made.items()
    ]
    table = ablation_table(ABLATIONS[1], read_reported(folders).runs)
    assert [row[:2] for row in table.rows] == [["whole", "k"], ["more", "2k"], ["fewer", "0.9k"]]


def test_differences_are_those_of_compare(runs, cli):
    whole, by_task = difference_tables(compared(runs[:2]))
    paths = [str(RESULTS / f"{name}.json") for name in NAMES[:2]]
    assert whole.markdown().partition("\n\n")[0] in cli("compare", *paths, "--format", "markdown").stdout
    assert csv_text(by_task.data) == cli("compare", *paths, "--by", "task", "--format", "csv").stdout
    assert len(task_table(runs[:1]).rows) == 40


def test_times_of_a_file_of_latency(tmp_path):
    rows = timing_table(read_timings([RESULTS / "latency" / "nano-cpu-1.json"])).rows
    assert rows[0][:3] == ["nano:lightvla@cameras,rows", "Intel(R) Xeon(R) Processor, float32", "12.6 ± 4.3"]
    assert rows[0][4].startswith("12.50 [12.43, ")


def test_marks_behind_numbers_are_superscripts():
    assert marked("97.4", [1, 12]) == "97.4 ¹ ¹²" and split_marks("97.4 ¹ ¹²") == ("97.4", "¹,¹²")
    text = latex_table(("run", "all"), [["a † ²", marked("97.4", [1, 12])], ["b", "7.25"]])
    assert "S[table-format=2.2,table-space-text-post={\\textsuperscript{1,12}},table-align-text-post=false]" in text
    assert r"97.4 \textsuperscript{1,12}" in text and r"a \textsuperscript{$\dagger$}\textsuperscript{2}" in text
    long = latex_table(("run",), [["--x"]], environment="longtable")
    assert r"\endhead" in long and r"\end{longtable}" in long and "-{}-x" in long
