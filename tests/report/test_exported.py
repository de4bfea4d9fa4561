"""A comparison as LaTeX, CSV, Markdown and JSON: the same numbers, each with what they speak of."""

import csv
import io
import json
import re

import pytest

from vla_bench.errors import UsageError
from vla_bench.report.exported import as_csv, as_latex, exported, format_of
from vla_bench.report.latex import escape, latex_table
from vla_bench.results.comparison import compare
from vla_bench.values import TextFormat

from ..conftest import ROOT
from ..made_runs import a_run

BASELINES = [ROOT / "results" / "baselines" / f"nano-{name}.json" for name in ("oft", "lightvla")]


@pytest.fixture(scope="module")
def rows():
    return compare(BASELINES)


def test_latex_columns_are_numbers_with_their_width(rows):
    text = as_latex(rows)
    columns = text.split(r"\begin{tabular}{")[1].splitlines()[0]
    assert columns == (
        "l r r r r S[table-format=2.1] r S[table-format=4] S[table-format=3.1] S[table-format=1.3] "
        "S[table-format=3] S[table-format=3] S[table-format=-1.1] r S[table-format=1.1e-1] l}"
    )
    line = next(line for line in text.splitlines() if line.startswith("nano-lightvla &"))
    assert line.endswith(r"& -4.2 & $[-6.2, -2.3]$ & 3.5e-5 & lower \\") and "404/500 & 488/500" in line
    assert text.count(" & ") == 3 * 15 and r"95 \% CI" in text and text.count("\n% ") == 5  # headline and notes are comments


def test_latex_is_escaped():
    assert escape("a_b & 5% #1 {x} ~ ^ \\ $ <") == (
        r"a\_b \& 5\% \#1 \{x\} \textasciitilde{} \textasciicircum{} \textbackslash{} \$ \textless{}"
    )
    text = latex_table(("run", "a_b"), [["[x]", "-"], ["*", "1.5 ± 0.1"]])
    assert "{[}x] & {--}" in text and r"{*} & 1.5 $\pm$ 0.1" in text and r"a\_b" in text


def test_csv_has_plain_numbers(rows):
    first, second = csv.DictReader(io.StringIO(as_csv(rows)))
    assert first["difference"] == "" and float(first["rate"]) == 0.7895 and first["planned"] == ""
    assert float(second["difference"]) == pytest.approx(-0.0425) and float(second["difference_low"]) < -0.06
    assert (second["lost"], second["gained"], second["verdict"], second["family"]) == ("250", "165", "lower", "1")
    assert second["population"] == "these tasks and init states" and float(second["kept_tokens_mean"]) < 12


def test_markdown_has_the_plot_and_what_it_speaks_of(rows):
    text = exported(TextFormat.MARKDOWN, rows)
    assert "```text\ndifference in points, 95 % interval\nnano-lightvla  ├" in text
    assert "about these tasks and init states" in text and text.splitlines()[3].endswith("| 3.5e-05 | lower |")


@pytest.mark.parametrize("by", [(), ("--by", "suite"), ("--by", "task")])
def test_the_file_s_suffix_is_its_format(cli, tmp_path, by):
    for suffix, form in ((".md", "markdown"), (".tex", "latex"), (".csv", "csv"), (".json", "json")):
        file = tmp_path / f"table{suffix}"
        assert cli("compare", *map(str, BASELINES), *by, "--out", str(file), "--format", form).stdout == file.read_text()
    parts = json.loads((tmp_path / "table.json").read_text())
    lines = list(csv.DictReader((tmp_path / "table.csv").open()))
    assert len(lines) == (len(parts["parts"]) if by else 2)


def test_another_suffix_is_refused_before_anything_is_read(cli, tmp_path):
    with pytest.raises(UsageError, match=".md, .tex, .csv, .json"):
        format_of(tmp_path / "table.txt")
    assert cli("compare", "nothing", "nowhere", "--out", "table.txt").exit_code == 2


def test_four_suites_fit_eighty_columns(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    printed = re.sub(r"\x1b\[[0-9;]*m", "", cli("compare", *map(str, BASELINES)).stdout)
    table = printed.partition("difference in points")[0] + printed.partition("difference in points")[2].partition("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 80
    values = "404/500 205/500 79.0 2000 11.8 0.501 250 165 3.5e-05 lower".split()
    assert not [value for value in (*values, "72.7 - 76.6", "-4.2 [-6.2, -2.3]") if value not in printed]
    long = cli("compare", "--by", "suite", *map(str, BASELINES)).stdout
    assert max(map(len, re.sub(r"\x1b\[[0-9;]*m", "", long).splitlines()[:14])) <= 80


def test_names_too_long_for_the_terminal_become_letters(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    names = [f"{method}-layer-3-keep-0.25-object-primitive-1a2b3c4d-with-a-long-name" for method in ("fastv", "sparsevlm")]
    runs = [str(a_run(tmp_path / name, "ssssff")) for name in names]
    printed = re.sub(r"\x1b\[[0-9;]*m", "", cli("compare", *runs).stdout).splitlines()
    assert printed[:2] == [f"A  {names[0]}", f"B  {names[1]}"]
