"""What is committed below results/ is what the commands make of the committed data: tables, figures' numbers, captions, pages."""

import csv
from itertools import pairwise
from pathlib import Path

import pytest

from vla_bench.concentration import concentration
from vla_bench.report.compared_cells import comparison_table, parts_table
from vla_bench.report.parts import report_parts
from vla_bench.report.report_table import csv_text
from vla_bench.report.timing_tables import read_timings
from vla_bench.results.comparison import compare, read_comparable
from vla_bench.results.parts import compare_parts
from vla_bench.results.reported import read_reported
from vla_bench.results.summary_file import read_summary
from vla_bench.suites import suite_names
from vla_bench.tables import markdown
from vla_bench.values import By

from .conftest import ROOT

RESULTS = ROOT / "results"
REPORTS = RESULTS / "report"
BASELINES = [RESULTS / "baselines" / f"nano-{name}.json" for name in ("oft", "lightvla")]
TABLE4 = [RESULTS / "sweeps" / name for name in ("controls/own.json", "table4-tokens/2k.json", "table4-tokens/0.9k.json")]
TABLE5 = [RESULTS / "sweeps" / "table5-star" / f"{name}.json" for name in ("dense", "star-vision", "star-llm1")] + TABLE4[:1]
PRO = [RESULTS / "sweeps" / "pro" / f"{name}.json" for name in ("none", "lightvla")]
AXES = ("lan", "object", "swap", "task")
TIMES = RESULTS / "latency" / "nano-cpu-1.json"


def listed(page: Path) -> list[str]:
    """The first column of the page's tables."""
    return [line.split(" | ")[0].removeprefix("| ") for line in page.read_text().splitlines() if line.startswith("| ")]


def pruners(suite: str) -> list[Path]:
    """The runs of a suite, in the order of their page."""
    files = {path.stem: path for path in (RESULTS / "pruners" / suite).glob("*.json")}
    return [files[name] for name in dict.fromkeys(listed(RESULTS / "pruners" / "README.md")) if name in files]


def made(parts) -> dict[str, str]:
    """The text of every file that a report of these parts has, by its path."""
    files = {}
    for part in parts:
        for table in part.tables:
            files[f"tables/{table.name}.md"] = f"**{table.title}**\n\n{table.markdown()}"
            files[f"tables/{table.name}.csv"] = csv_text(table.data)
            files[f"tables/{table.name}.tex"] = table.latex()
            files[f"tables/{table.name}-notes.tex"] = table.latex_notes()
        for figure in part.figures:
            files[f"figures/{figure.name}.csv"] = csv_text(figure.rows)
            files[f"figures/{figure.name}.txt"] = f"{figure.title}. {figure.caption}\n"
    return files


@pytest.mark.parametrize("name", ["nano", "table4-tokens", "table5-star", "pro", "pruners-spatial"])
def test_reports_are_those_of_the_committed_runs(name):
    if name == "nano":
        parts = report_parts(read_reported(BASELINES), read_timings([TIMES]), True)
    elif name in ("table4-tokens", "table5-star"):
        parts = report_parts(read_reported(TABLE4 if name == "table4-tokens" else TABLE5), with_paper=True)
    elif name == "pro":
        parts = report_parts(read_reported(PRO))
    else:
        parts = report_parts(read_reported(pruners("spatial")))
    now = made(parts)
    folder = REPORTS / name
    texts = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".png"]
    assert len(texts) > 10
    changed = [str(path) for path in texts if now[str(path.relative_to(folder))] != path.read_text()]
    assert not changed, f"{changed}: make them again with the commands of results/report/README.md"
    pictures = {path.stem for path in folder.rglob("*.png")}
    assert pictures == {path.stem for path in (folder / "figures").glob("*.csv")}


def test_the_table_of_learnable_queries_is_that_of_its_runs():
    _, rows = comparison_table(compare(TABLE5))
    page = (REPORTS / "README.md").read_text()
    lines = [line for line in page.splitlines() if line.startswith(("| nano-oft |", "| LightVLA"))]
    for line, path, row in zip(lines, TABLE5, rows, strict=True):
        _, tokens, won, difference = (cell.strip() for cell in line.strip("|").split("|"))
        assert int(won) == read_summary(path)["totals"]["successes"]
        assert tokens == f"{float(row[8].split()[0]):.0f}" and difference == ", ".join(filter(None, (row[12], row[14])))


def test_the_concentration_is_that_of_the_map_beside_it():
    folder = REPORTS / "tokens"
    with open(folder / "figures" / "token-use-1.csv") as file:
        counts: dict[str, list[int]] = {}
        for row in csv.DictReader(file):
            counts.setdefault(row["camera"], []).append(int(row["kept"]))
    with open(folder / "tables" / "token-use.csv") as file:
        rows = {row["camera"]: row for row in csv.DictReader(file)}
    assert rows.keys() == counts.keys() and len(rows) == 2
    for camera, row in rows.items():
        found = concentration(counts[camera])
        assert (found.entropy, found.gini, found.top_tenth) == pytest.approx(
            [float(row[k]) for k in ("entropy", "gini", "top_tenth")]
        )
        assert f"{100 * found.top_tenth:.0f} %" in (REPORTS / "README.md").read_text()


@pytest.mark.parametrize("suite", ["spatial", "object", "long"])
def test_tables_of_pruners_are_those_of_compare(suite):
    table = markdown(*comparison_table(compare(pruners(suite))))
    assert table in (RESULTS / "pruners" / "README.md").read_text()
    assert table in (RESULTS / "pruners" / f"{suite}.md").read_text()


def test_tables_of_nano_are_those_of_compare():
    page = (RESULTS / "nano.md").read_text()
    runs = list(zip(BASELINES, read_comparable(BASELINES), strict=True))
    noise = [RESULTS / "stages" / f"nano-lightvla{name}.json" for name in ("", "-no-noise", "-constant-noise")]
    for table in (
        comparison_table(compare(BASELINES)),
        parts_table(compare_parts(runs, By.SUITE), By.SUITE),
        comparison_table(compare(noise)),
    ):
        assert markdown(*table) in page


def test_tables_of_the_second_generation_are_those_of_compare():
    page, stages, sweeps = (RESULTS / "nano.md").read_text(), RESULTS / "stages", RESULTS / "sweeps"
    mean, tuned = (RESULTS / "baselines" / f"nano-{name}-2.json" for name in ("oft", "lightvla"))
    start = [stages / "nano-oft-1495k.json", tuned]
    runs = list(zip(start, read_comparable(start), strict=True))
    assert markdown(*parts_table(compare_parts(runs, By.SUITE), By.SUITE)) in page
    for paths in (start, [TABLE5[0], mean], [start[0], mean], [sweeps / "controls" / "own.json", tuned]):
        assert markdown(*comparison_table(compare(paths))) in page


def test_what_each_round_won_task_by_task_is_what_its_runs_won():
    lab = (ROOT / "docs" / "lab" / "growing-nano.md").read_text()
    stages = RESULTS / "stages"
    first, second, third = (stages / f"nano-oft-{samples}k.json" for samples in (1316, 1495, 1623))
    pairs = [*pairwise([TABLE5[0], first, second, third]), (second, RESULTS / "baselines" / "nano-oft-2.json")]
    for before, after in ([read_summary(path)["tasks"] for path in pair] for pair in pairs):
        for suite in suite_names():
            tasks = (f"{suite}/{number}" for number in range(10))
            won = (f"{before[task]['outcomes'].count('s')} {after[task]['outcomes'].count('s')}" for task in tasks)
            assert f"| {suite} | {' | '.join(won)} |" in lab


def test_what_the_short_rounds_won_is_what_their_runs_won():
    lab = (ROOT / "docs" / "lab" / "growing-nano.md").read_text()
    means = (RESULTS / "stages" / f"nano-oft-mean-{name}.json" for name in ("1565k", "1616k", "of-three"))
    for path in (RESULTS / "baselines" / "nano-oft-2.json", *means):
        won = dict.fromkeys(suite_names(), 0)
        for name, task in read_summary(path)["tasks"].items():
            won[name.split("/")[0]] += sum(
                outcome == "s"
                for init_state, outcome in zip(task["init_states"], task["outcomes"], strict=True)
                if init_state < 10
            )
        assert f"| {' | '.join(map(str, won.values()))} | {sum(won.values())} |" in lab


def test_the_table_of_the_controls_counts_what_their_runs_won():
    with open(REPORTS / "controls" / "tables" / "differences.csv") as file:
        rows = {row["run"]: row for row in csv.DictReader(file)}
    won = dict.fromkeys(rows, 0)
    for path in (RESULTS / "sweeps" / "controls").glob("*.json"):
        name = next(name for name in rows if path.stem in (name, *(f"{name}-{suite}" for suite in suite_names())))
        won[name] += read_summary(path)["totals"]["successes"]
    assert {name: int(row["successes"]) for name, row in rows.items()} == won and len(won) == 5
    assert all(int(row["n"]) == 800 for row in rows.values())


@pytest.mark.parametrize("pack", ["official", "primitive"])
def test_starts_of_libero_pro_are_those_of_the_page(pack):
    rows = list(csv.DictReader((RESULTS / "robustness" / f"starts-{pack}.csv").open()))
    assert len(rows) == 160 and {row["starts"] for row in rows} == {"50"}
    assert not any(row["error"] for row in rows) and {row["goal holds"] for row in rows} == {"0"}
    sound = {name: sum(int(row["sound"]) for row in rows if row["suite"] == name) for name in changed_suites()}
    assert axes_table(f"{{}}, {pack}", sound) in (RESULTS / "robustness.md").read_text()


def test_the_expert_s_wins_on_libero_pro_are_those_of_the_page():
    page, suites = (
        (RESULTS / "robustness.md").read_text(),
        read_summary(RESULTS / "robustness" / "expert-official.json")["totals"],
    )
    won = {name: suites["suites"][name]["successes"] for name in changed_suites()}
    assert axes_table("{}", won) in page and f"{sum(won.values())} of 800 in all" in page
    whole = [task for name in won for task in suites["suites"][name]["tasks"].values() if task["successes"] == 5]
    assert f"{len(whole)} of the 160 tasks" in page


def test_nano_s_wins_on_libero_pro_are_those_of_the_page():
    page, folder = (RESULTS / "robustness.md").read_text(), RESULTS / "sweeps" / "pro"
    rows = {"nano-oft": "none", "nano-lightvla": "lightvla", "nano-oft, as many random tokens": "random-*"}
    for label, files in rows.items():
        suites = [read_summary(path)["totals"]["suites"] for path in folder.glob(f"{files}.json")]
        won = {name: suite["successes"] for each in suites for name, suite in each.items()}
        by_axis = [sum(won[name] for name in changed_suites() if name.endswith(f"-{axis}")) for axis in AXES]
        own = sum(won[name] for name in suite_names())
        assert len(won) == 20 and f"| {label} | {' | '.join(map(str, [own, *by_axis]))} |" in page


def changed_suites() -> list[str]:
    return [f"pro-{suite}-{axis}" for suite in ("spatial", "object", "goal", "long") for axis in AXES]


def axes_table(label: str, numbers: dict[str, int]) -> str:
    """One row a suite, one column an axis."""
    by_suite: dict[str, list[int]] = {}
    for name, number in numbers.items():
        by_suite.setdefault(name.split("-")[1], []).append(number)
    return "\n".join(f"| {label.format(suite)} | " + " | ".join(map(str, own)) + " |" for suite, own in by_suite.items())
