"""The paper's tables, and that their numbers stand nowhere else."""

import ast
import csv
import re
import subprocess
import sys

import pytest

from vla_bench import paper, paper_notes
from vla_bench.errors import RecordError
from vla_bench.interface.presets import SEVEN_B

from .conftest import ROOT

SUCCESS_TABLES = (paper.table1, paper.table3, paper.table4, paper.table5)


def test_tables_are_whole():
    assert [len(table()) for table in (*SUCCESS_TABLES, paper.table2)] == [16, 3, 3, 6, 8]
    lightvla = paper.table1()["LightVLA"]
    assert lightvla.prunes and lightvla.scale == "7B" and lightvla.success["long"] == 94.6
    assert lightvla.tokens["spatial"] == paper.TokenSpread(90, 15) and list(lightvla.tokens) == list(paper.SUITES)
    assert paper.table1()["OpenVLA"].tokens == {} and not paper.table1()["OpenVLA"].prunes
    assert paper.table2()["SP-VLA"] == paper.CostRow("SP-VLA", 229, "avg.", "A100", 3.1, None, 74.9)
    assert paper.table2()["OpenVLA-OFT"].tokens == SEVEN_B.visual_tokens and paper.table2()["OpenVLA"].tflops is None
    assert paper.table3()["without noise"].tokens == 72 and paper.table4()["2k"].average == 96.8
    assert paper.table5()["LightVLA*", "LLM (layer#1)"].success["goal"] == 97.2


def test_costs_by_the_names_of_our_pruners():
    assert paper.published_cost("lightvla") == (78, 3.6, "LightVLA") and paper.published_cost("none") == (512, 8.8, "OpenVLA-OFT")
    assert paper.published_cost("vla-cache", "openvla") == (100, 1.4, "VLA-Cache")
    for pruner, model in (("fastv", "openvla-oft"), ("grid", "openvla-oft"), ("none", "openvla"), ("lightvla", "nano")):
        assert paper.published_cost(pruner, model) is None
    rows = [method for methods in paper.METHODS.values() for method in methods.values()]
    assert sorted(rows) == sorted(paper.table2()) and {row for row in rows if paper.table2()[row].tflops} == set(paper.COUNTED)


def test_averages_are_those_of_the_suites_but_for_one():
    """To half of the last digit; the exception is in results/paper/README.md."""
    rows = [row for table in SUCCESS_TABLES for row in table().values()]
    off = [row for row in rows if abs(sum(row.success.values()) / 4 - row.average) > 0.0501]
    assert off == [paper.table5()["LightVLA", "Vision Encoder"]]


def test_a_damaged_table_is_said(tmp_path, monkeypatch):
    text = (paper.paper_dir() / "table2.csv").read_text()
    (tmp_path / "table2.csv").write_text(text.replace("229 (avg.)", "many"))
    monkeypatch.setattr(paper, "paper_dir", lambda: tmp_path)
    for table in (paper.table2, paper.table4):
        table.cache_clear()
    with pytest.raises(RecordError, match=r"table2.csv cannot be read at line 7: .*many"):
        paper.table2()
    with pytest.raises(RecordError, match="table4.csv cannot be read"):
        paper.table4()


def test_reading_the_tables_is_light():
    code = "import sys\nfrom vla_bench.paper import table1\ntable1()\nassert not {'numpy', 'torch', 'pandas'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def literals(source: str) -> set[str]:
    """Decimal numbers of the code, and those in its texts."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.add(str(node.value))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r"(?<![\d.-])\d+\.\d+(?![\d.])", node.value))
    return found


def test_published_numbers_stand_in_the_tables_alone():
    """Success rates with a decimal, and the TFLOPs of the paper's own two: shorter numbers may mean anything."""
    rows = [row for table in SUCCESS_TABLES for row in table().values()]
    published = {str(rate) for row in rows for rate in (*row.success.values(), row.average) if rate != int(rate)}
    published |= {str(paper.published_cost(pruner).tflops) for pruner in ("none", "lightvla")}
    assert {"97.4", "3.6"} <= published and literals('x = f"{y} is 97.4 %" if z else 94.8') == {"97.4", "94.8"}
    repeated = {
        str(path.relative_to(ROOT)): both
        for path in (ROOT / "vla_bench").rglob("*.py")
        if (both := literals(path.read_text()) & published)
    }
    assert not repeated


def test_footnotes_speak_of_cells_that_are_printed():
    """And every contradiction that the folder's README lists with figures is in one."""
    notes = paper_notes.footnotes()
    for table, row, column in {cell for note in notes for cell in note.cells}:
        with open(paper.paper_dir() / f"{table}.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = {paper_notes.EVERY, *(" ".join(list(cells.values())[:2]) for cells in rows)}
        names |= {cells.get("tokens", "") for cells in rows} | {next(iter(cells.values())) for cells in rows}
        assert row in names and column in rows[0], (table, row, column)
    texts = " ".join(note.text for note in notes)
    for fact in ("74.4", "73.7", "97.1", "3.6 TFLOPs", "59 ms", "mixes units", "two Tables V", "97.6 in Table V", "100 (max.)"):
        assert fact in texts


def test_footnotes_that_cannot_be_read_are_one_error(tmp_path, monkeypatch):
    (tmp_path / "footnotes.toml").write_text('[[footnote]]\ntext = "no cells"\n')
    monkeypatch.setattr(paper_notes, "paper_dir", lambda: tmp_path)
    paper_notes.footnotes.cache_clear()
    with pytest.raises(RecordError, match="footnotes.toml"):
        paper_notes.footnotes()
    paper_notes.footnotes.cache_clear()
