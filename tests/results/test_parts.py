"""`vla-bench compare --by`: a gain in one task hides no loss in another."""

import json
from dataclasses import replace

import pytest

from vla_bench.records import append_line, write_run
from vla_bench.results.comparison import Verdict, compare, read_comparable
from vla_bench.results.parts import compare_parts
from vla_bench.values import By

from ..conftest import ROOT
from ..made_runs import ENDINGS, SHA, episode, run

BASELINES = [ROOT / "results" / "baselines" / f"nano-{name}.json" for name in ("oft", "lightvla")]
TWO = {"suites": {"object": SHA, "goal": SHA}}


def with_tasks(folder, tasks):
    """A run with these outcomes by suite and task id."""
    folder.mkdir()
    write_run(folder, replace(run(**TWO), suites={"object": {}, "goal": {}}))
    for (suite, task_id), outcomes in tasks.items():
        for i, outcome in enumerate(outcomes):
            line = episode(i, ENDINGS[outcome], suite=suite, task_id=task_id, task=f"{suite}_{task_id}").to_json()
            append_line(folder / "episodes.jsonl", line)
    return folder


@pytest.fixture
def runs(tmp_path):
    """Ten lost in a task, ten gained in the other of its suite; a third task that only the first run has."""
    base = {("object", 0): "s" * 10, ("object", 1): "f" * 10, ("goal", 4): "sf", ("goal", 5): "ss"}
    new = {("object", 0): "f" * 10, ("object", 1): "s" * 10, ("goal", 4): "se"}
    return [with_tasks(tmp_path / "base", base), with_tasks(tmp_path / "new", new)]


def parts(runs, by):
    return compare_parts(list(zip(runs, read_comparable(runs), strict=True)), by)


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
        assert "over tasks of their kind -4.2 [-9.4, +0.9]" in text and "-15.0 [-19.9, -10.0]" in text
    assert "family of 4 tests" in printed.stderr and "family of 4 tests" in written and "these tasks and init states" in written
