"""Drops on suites that are others with a change, and whether one run drops more than another."""

import json

import pytest

from vla_bench.differences import difference_of_differences
from vla_bench.errors import UsageError
from vla_bench.results.axes import axis_drops
from vla_bench.results.axis_comparison import compare_axes
from vla_bench.results.comparison import read_comparable
from vla_bench.results.evidence import Verdict
from vla_bench.results.summary_file import read_summary
from vla_bench.values import Population

from ..made_runs import with_tasks

OTHER = "2" * 16
ABOUT = {
    "pro-spatial-swap": {"axis": "swap", "original": "spatial", "init_hash": OTHER},
    "pro-goal-swap": {"axis": "swap", "original": "goal", "init_hash": OTHER},
    "pro-spatial-lan": {"axis": "lan", "original": "spatial"},
}
DENSE = {
    ("spatial", 0): "s" * 20,
    ("spatial", 1): "s" * 18 + "ff",
    ("goal", 0): "s" * 20,
    ("pro-spatial-swap", 0): "s" * 15 + "f" * 5,
    ("pro-spatial-swap", 1): "s" * 10 + "f" * 10,
    ("pro-spatial-swap", 2): "f" * 20,  # a task that the original was not run on
    ("pro-spatial-lan", 0): "s" * 20,
    ("pro-goal-swap", 0): "s" * 20,
}
PRUNED = DENSE | {("spatial", 1): "s" * 17 + "fff", ("pro-spatial-swap", 0): "f" * 20, ("pro-spatial-swap", 1): "f" * 20}


@pytest.fixture
def runs(tmp_path):
    return [with_tasks(tmp_path / "dense", DENSE, about=ABOUT), with_tasks(tmp_path / "pruned", PRUNED, about=ABOUT)]


def paired(*runs):
    return list(zip(runs, read_comparable(list(runs)), strict=True))


def test_a_drop_is_over_the_tasks_that_a_run_has_of_both(runs):
    swap, lan = axis_drops("dense", read_summary(runs[0]))
    assert (swap.axis, swap.suites, swap.tasks) == ("swap", ("pro-spatial-swap", "pro-goal-swap"), 3)
    assert (swap.original.successes, swap.original.n, swap.rate.successes, swap.rate.n) == (58, 60, 45, 60)
    assert swap.drop.value == pytest.approx(45 / 60 - 58 / 60) and swap.drop.high < 0 and not swap.paired
    assert (lan.tasks, lan.original.successes, lan.rate.successes, lan.drop.value) == (1, 20, 20, 0)


def test_equal_init_states_are_paired(runs):
    """Those of `lan` have the originals' hashes: no pair differs, and the interval is narrower than that of other states."""
    _, lan = axis_drops("dense", read_summary(runs[0]))
    assert lan.paired and lan.drop.high == -lan.drop.low
    other = ABOUT | {"pro-spatial-lan": ABOUT["pro-spatial-lan"] | {"init_hash": OTHER}}
    apart = with_tasks(runs[0].parent / "apart", DENSE, about=other)
    _, free = axis_drops("apart", read_summary(apart))
    assert not free.paired and free.drop.value == 0


def test_a_run_that_loses_more_by_a_change_is_found_and_one_that_loses_the_same_is_not(runs):
    drops, (swap, lan) = compare_axes(paired(*runs))
    assert [(each.run, each.axis) for each in drops] == [(run, axis) for run in ("dense", "pruned") for axis in ("swap", "lan")]
    assert (swap.n, swap.tasks, swap.family) == (60, 3, 2)
    assert swap.here.value == pytest.approx(-25 / 60) and swap.there.value == pytest.approx(-1 / 60)
    assert swap.more == difference_of_differences(swap.there, swap.here) and swap.verdict is Verdict.LOWER and swap.p < 1e-4
    assert lan.more.value == 0 and lan.p == 1 and lan.verdict is Verdict.OPEN
    assert swap.base.drop.value == pytest.approx(-13 / 60) and swap.other.drop.value == pytest.approx(-37 / 60)


def test_losing_the_same_everywhere_is_no_loss_by_a_change(tmp_path):
    """Half of everything is lost: a drop of the pruner, and none of the change."""
    half = {
        task: outcomes.replace("s", "f", len(outcomes) // 2) for task, outcomes in DENSE.items() if task[0] != "pro-goal-swap"
    }
    half[("pro-spatial-swap", 0)], half[("pro-spatial-swap", 1)] = "f" * 10 + "s" * 5 + "f" * 5, "f" * 10 + "f" * 10
    dense = with_tasks(tmp_path / "dense", {task: DENSE[task] for task in half}, about=ABOUT)
    pruned = with_tasks(tmp_path / "pruned", half, about=ABOUT)
    _, compared = compare_axes(paired(dense, pruned))
    assert all(each.there.value <= -0.45 and each.here.value <= -0.45 for each in compared)
    assert all(each.verdict is Verdict.OPEN for each in compared)


def test_tasks_of_their_kind_need_five_tasks(runs):
    _, (swap, _) = compare_axes(paired(*runs), Population.TASKS)
    assert swap.p == 1 and swap.verdict is Verdict.OPEN and swap.decided == swap.over_tasks


def test_an_error_is_a_missing_pair_and_too_many_are_no_verdict(tmp_path, runs):
    broken = with_tasks(tmp_path / "broken", PRUNED | {("pro-spatial-swap", 0): "e" * 5 + "f" * 15}, about=ABOUT)
    _, (swap, _) = compare_axes(paired(runs[0], broken))
    assert swap.n == 55 and swap.verdict is Verdict.ERRORS


def test_runs_without_a_change_and_its_original_are_refused(tmp_path):
    alone = {task: outcomes for task, outcomes in DENSE.items() if task[0].startswith("pro-")}
    first, second = (with_tasks(tmp_path / name, alone, about=ABOUT) for name in "ab")
    with pytest.raises(UsageError, match="no run has a changed suite and its original") as refused:
        compare_axes(paired(first, second))
    assert refused.value.fix == "vla-bench eval --suite spatial,pro-spatial"


def test_compare_by_axis_shows_both_tables_and_writes_every_form(runs, cli):
    shown = cli("compare", *map(str, runs), "--by", "axis")
    assert shown.exit_code == 0 and "Success under change" in shown.stdout and "Drops beside those of dense" in shown.stdout
    assert "lower" in shown.stdout and "below 0 it loses more" in shown.stderr
    found = json.loads(cli("compare", *map(str, runs), "--by", "axis", "--format", "json").stdout)
    assert found["family"] == 2 and [each["axis"] for each in found["compared"]] == ["swap", "lan"] and len(found["drops"]) == 4
    for form, text in (("csv", "more_low"), ("markdown", "| verdict |"), ("latex", "\\begin{tabular}")):
        assert text in cli("compare", *map(str, runs), "--by", "axis", "--format", form).stdout, form


def test_a_report_has_the_tables_and_the_figure(runs, cli, tmp_path):
    done = cli("report", *map(str, runs), "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.stderr
    page = (tmp_path / "out" / "report.md").read_text()
    assert "## Success under change" in page and "figures/drop-by-axis.png" in page
    assert (tmp_path / "out" / "figures" / "drop-by-axis.pdf").stat().st_size > 1000
    lines = (tmp_path / "out" / "tables" / "axes-compared.csv").read_text().splitlines()
    assert len(lines) == 3 and lines[1].startswith("pruned,swap,3,60,")
