"""`vla-bench compare --by`: a gain in one task hides no loss in another."""

import json
import shutil
from statistics import NormalDist

import pytest

from vla_bench.errors import UsageError
from vla_bench.report.compared_notes import warnings
from vla_bench.results.comparison import compare, read_comparable
from vla_bench.results.evidence import Verdict
from vla_bench.results.parts import compare_parts
from vla_bench.stats import paired_difference
from vla_bench.values import By, Population

from ..conftest import ROOT
from ..made_runs import with_tasks

BASELINES = [ROOT / "results" / "baselines" / f"nano-{name}.json" for name in ("oft", "lightvla")]


@pytest.fixture
def runs(tmp_path):
    """Ten lost in a task, ten gained in the other of its suite; a third task that only the first run has."""
    base = {("object", 0): "s" * 10, ("object", 1): "f" * 10, ("goal", 4): "sf", ("goal", 5): "ss"}
    new = {("object", 0): "f" * 10, ("object", 1): "s" * 10, ("goal", 4): "se"}
    return [with_tasks(tmp_path / "base", base), with_tasks(tmp_path / "new", new)]


def paired(*runs):
    return list(zip(runs, read_comparable(list(runs)), strict=True))


def parts(runs, by):
    return compare_parts(paired(*runs), by)


def test_tasks_one_by_one(runs):
    (whole,) = compare(runs)[1:]
    assert whole.verdict is Verdict.ERRORS and whole.difference.value == 0
    lost, gained, broken = parts(runs, By.TASK)
    assert [(part.suite, part.task_id, part.task) for part in (lost, gained)] == [("object", i, f"object_{i}") for i in (0, 1)]
    assert (lost.verdict, gained.verdict, broken.verdict) == (Verdict.LOWER, Verdict.HIGHER, Verdict.ERRORS)
    assert lost.p == gained.p == 3 * 2 / 2**10  # Holm: three tests
    assert (lost.base.rate, lost.rate.rate, lost.difference.value) == (1, 0, -1) and broken.rate.n == 1


def test_suites_one_by_one(runs):
    first, second = parts(runs, By.SUITE)
    assert (first.suite, first.task_id, first.pairs.fell, first.pairs.rose) == ("object", None, 10, 10)
    assert second.suite == "goal" and second.pairs.count == 1 and first.verdict is Verdict.OPEN


def test_a_task_with_nothing_but_errors_has_no_difference(tmp_path):
    base = with_tasks(tmp_path / "base", {("object", 0): "sss", ("object", 1): "s"})
    other = with_tasks(tmp_path / "other", {("object", 0): "eee", ("object", 1): "s"})
    broken = parts([base, other], By.TASK)[0]
    assert broken.difference is None and broken.rate.rate is None and broken.verdict is Verdict.ERRORS and broken.p == 1


def test_the_baselines_tasks_and_what_they_say_about_others(cli, tmp_path):
    """One task of Goal gained 28 of 50, and hides what its nine others lost; over tasks the whole difference is open."""
    table = json.loads(cli("compare", "--by", "task", *map(str, BASELINES), "--format", "json").stdout)
    assert table["family"] == len(table["parts"]) == 40
    goal = {part["task_id"]: part for part in table["parts"] if part["suite"] == "goal"}
    changed = {task: part["pairs"]["gained"] - part["pairs"]["lost"] for task, part in goal.items()}
    assert changed[3] == 28 and goal[3]["verdict"] == "higher" and sum(changed.values()) - 28 == -35
    assert [task for task, part in goal.items() if part["verdict"] == "lower"] == [0, 9]
    over = table["runs"][1]["over_tasks"]
    assert [round(100 * over[key], 1) for key in ("value", "low", "high")] == [-4.2, -9.4, 0.9]
    printed = cli("compare", "--by", "suite", *map(str, BASELINES), "--out", str(tmp_path / "t.md"))
    written = (tmp_path / "t.md").read_text()
    for text in (printed.stdout, written):
        assert "-4.2 [-9.4, +0.9] over tasks of their kind" in text and "-15.0 [-21.2, -8.6]" in text
    assert "family of 4 tests" in printed.stderr and "family of 4 tests" in written and "these tasks and init states" in written


def test_the_intervals_of_a_family_hold_together(runs):
    """Three rows: each interval is that of 1 - 0.05 / 3, wider than that of a comparison of its own."""
    parts_, alone = parts(runs, By.TASK), paired_difference(0, 10, 0, 0)
    assert [part.family for part in parts_] == [3, 3, 3]
    assert parts_[0].difference == paired_difference(0, 10, 0, 0, NormalDist().inv_cdf(1 - 0.05 / 6))
    assert parts_[0].difference.high > alone.high and parts_[0].to_dict()["interval_level"] == pytest.approx(1 - 0.05 / 3)


def test_suites_over_tasks(tmp_path):
    """Five tasks of Object all lost two of four; four of Goal say nothing of tasks of their kind, whatever they lost."""
    tasks = {("object", i): "ssss" for i in range(5)} | {("goal", i): "ssss" for i in range(4)}
    lost = {("object", i): "fsfs" if i else "ffff" for i in range(5)} | {("goal", i): "ffff" for i in range(4)}
    found = compare_parts(paired(with_tasks(tmp_path / "a", tasks), with_tasks(tmp_path / "b", lost)), By.SUITE, Population.TASKS)
    assert [part.verdict for part in found] == [Verdict.LOWER, Verdict.OPEN] and found[1].p == 1 and found[1].tasks == 4
    lines = warnings(compare([tmp_path / "a", tmp_path / "b"], Population.TASKS), found)
    assert lines == ["goal: 4 tasks are too few to speak of tasks of their kind, 5 are needed"]
    with pytest.raises(UsageError, match="single task"):
        compare_parts(paired(tmp_path / "a", tmp_path / "b"), By.TASK, Population.TASKS)


def test_several_runs_have_a_table_each(cli, runs, tmp_path):
    again = tmp_path / "elsewhere" / "new"
    shutil.copytree(runs[1], again)
    printed = cli("compare", "--by", "suite", *map(str, [*runs, again])).stdout
    assert f"{runs[1]} against base" in printed and f"{again} against base" in printed  # one name: the whole path
    assert printed.count("95 % intervals of all 4 together") == 2
    assert "[-100.0, +100.0] over tasks of their kind" in printed  # two tasks show nothing of others, and a share has its bounds
