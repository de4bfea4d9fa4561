import pytest

from vla_bench.report.summary import summarise
from vla_bench.report.tables import COLUMNS, markdown, print_table, result_rows

from .test_records import episode


@pytest.fixture
def rows():
    summary = summarise(episode(i) for i in range(50))
    return result_rows(summary, {("object", 3): "pick up the bbq sauce and place it in the basket"})


@pytest.mark.parametrize("width", [80, 100, 160])
def test_numbers_survive_a_narrow_terminal(rows, width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich's word for "this is a terminal"
    print_table(COLUMNS, rows)
    printed = capsys.readouterr().out
    for value in ("object", "50", "100.0", "92.9 - 100.0", "120", "95 % CI", "success", "errors"):
        assert value in printed
    assert ("pick up the" in printed) == (width >= 100)
    assert ("place it in the basket" in printed) == (width == 160)


def test_markdown(rows):
    lines = markdown(COLUMNS, rows).splitlines()
    assert (
        lines[2] == "| object | 3 | pick up the bbq sauce and place it in the basket | 50 | 50 | 100.0 | 92.9 - 100.0 | 120 | 0 |"
    )
    assert len(lines) == 4 and all(line.count("|") == len(COLUMNS) + 1 for line in lines)
