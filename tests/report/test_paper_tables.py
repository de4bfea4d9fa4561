"""`vla-bench paper`: every cell of the paper's five tables, and every note on contradictions."""

import csv
import io
import json

import pytest

from vla_bench.errors import UsageError
from vla_bench.paper import paper_dir
from vla_bench.paper_notes import footnotes

TABLES = {"I": "table1", "II": "table2", "III": "table3", "IV": "table4", "V": "table5"}


def cells(table: str) -> list[dict[str, str]]:
    with open(paper_dir() / f"{table}.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(("number", "table"), TABLES.items())
def test_every_cell_and_every_note_of_a_table(cli, number, table):
    done = cli("paper", number, "--format", "markdown")
    lines = [line.split("|")[1:-1] for line in done.stdout.splitlines() if line.startswith("| ")]
    printed = [[cell.strip().partition(" ¹")[0].rstrip(" ⁰¹²³⁴⁵⁶⁷⁸⁹") for cell in line] for line in lines[2:]]
    assert printed == [[cell or "-" for cell in row.values()] for row in cells(table)]
    notes = [note.text for note in footnotes() if any(cell[0] == table for cell in note.cells)]
    assert notes and all(note in done.stdout for note in notes)
    marks = {mark for line in lines for cell in line for mark in cell if mark in "¹²³⁴⁵⁶⁷⁸⁹"}
    assert len(marks) == len(notes)


def test_all_five_in_every_format(cli):
    for form in ("human", "markdown", "latex", "csv", "json"):
        done = cli("paper", "--format", form)
        assert done.exit_code == 0 and done.stdout.count("Vision Encoder") >= 2, form
    rows = list(csv.DictReader(io.StringIO(cli("paper", "--format", "csv").stdout)))
    assert [row["table"] for row in rows] == [number for number, table in TABLES.items() for _ in cells(table)]
    tables = json.loads(cli("paper", "--format", "json").stdout)
    assert [table["table"] for table in tables] == list(TABLES)
    (lightvla,) = [row for row in tables[1]["rows"] if row["method"] == "LightVLA"]
    assert (lightvla["tokens"], lightvla["tflops"], lightvla["latency_ms"]) == (78, 3.6, 21.0)
    assert ["LightVLA", "tflops"] in [cell for note in tables[1]["footnotes"] for cell in note["cells"]]


def test_tables_are_named_by_number_and_an_unknown_one_is_refused(cli):
    same = {cli("paper", name).stdout for name in ("IV", "iv", "4", "table4")}
    assert len(same) == 1 and "0.9k" in same.pop()
    assert cli("paper", "2", "V").stdout.count("Table ") >= 2
    unknown = cli("paper", "6").exception
    assert isinstance(unknown, UsageError) and "Tables I to V" in unknown.message
