"""Runs are compared episode by episode, and only where they had the same world."""

import json
from dataclasses import replace

import pytest

from vla_bench.errors import NotComparableError, RecordError, UsageError
from vla_bench.records import write_episode, write_run
from vla_bench.report.exported import as_markdown
from vla_bench.results.comparison import compare
from vla_bench.results.evidence import Verdict
from vla_bench.results.pairs import Pairs
from vla_bench.results.summary_file import read_summary, write_summary
from vla_bench.values import Population

from ..made_runs import ENDINGS, SHA, a_run, episode, run, with_tasks


def kept(folder):
    """Its summary, as a file beside it."""
    file = folder.with_suffix(".json")
    write_summary(file, read_summary(folder))
    return file


def test_runs_are_paired_by_init_state(tmp_path):
    """Of 8 episodes the second run loses six that the first won, gains one, and has no answer to the last."""
    dense, random = a_run(tmp_path / "dense", "ssssssfs"), a_run(tmp_path / "random-0.9", "ffffffse")
    first, second = compare([dense, random])
    assert first.pairs is None and first.rate.successes == 6 and first.rate.n == 7 and first.name == "dense"
    assert second.pairs == Pairs(both=0, lost=6, gained=1, neither=0, errors=1)
    assert second.p == 2 * 8 / 2**7 and second.difference.value == pytest.approx(-5 / 7)
    assert (second.base, second.ended) == (first.rate, 7) and first.ended == 8
    assert second.verdict is Verdict.ERRORS  # 7 of 8 pairs are not 98 %
    table = as_markdown([first, second]).splitlines()
    assert "| random-0.9 | 1/7 | 14.3 | 2.6 - 51.3 | 7 | 6 | 1 | -71.4 [" in table[3] and table[0].endswith("| verdict |")


def test_what_is_established_and_what_is_not(tmp_path):
    """12 lost and none gained is p 0.0005; with three rows Holm makes it 0.0015.  3 gained and none lost is nothing."""
    base = a_run(tmp_path / "base", "s" * 17 + "f" * 3, tokens=128.0)
    worse = a_run(tmp_path / "worse", "f" * 12 + "s" * 5 + "f" * 3, tokens=10.5)
    better = a_run(tmp_path / "better", "s" * 20)
    half = a_run(tmp_path / "half", "s" * 10)
    rows = compare([base, worse, better, half])
    assert [row.verdict for row in rows] == [None, Verdict.LOWER, Verdict.OPEN, Verdict.OPEN]
    assert rows[1].p == pytest.approx(3 * 2 / 2**12) and rows[1].difference.high < 0
    assert rows[3].pairs.count == 10 and rows[3].rate.n == 10
    assert "| 128.0 |" in as_markdown(rows).splitlines()[2]
    (swapped,) = compare([worse, base])[1:]
    assert swapped.verdict is Verdict.HIGHER


def test_costs_are_those_of_the_pairs(tmp_path):
    """The first run's long episodes, which the other has not run, count for neither."""
    base, other = a_run(tmp_path / "base", "ss", tokens=10.0, gflops=2.0), a_run(tmp_path / "other", "sse", tokens=20.0)
    for i in (2, 3, 4):
        write_episode(base, episode(i, queries=900, kept_tokens_mean=128.0, gflops_mean=8.0))
    for paths in ([base, other], [kept(base), kept(other)]):
        first, second = compare(paths)
        assert first.rate.n == second.rate.n == 2 and first.metrics["kept_tokens_mean"] == 10
        assert first.metrics["gflops_mean"] == 2 and second.metrics["kept_tokens_mean"] == 20
        assert second.metrics["gflops_mean"] is None  # it never told
    third = a_run(tmp_path / "third", "sssss", tokens=1.0)
    rows = compare([base, other, third])  # the first: what any other has
    assert [row.rate.n for row in rows] == [5, 2, 5] and rows[0].metrics["kept_tokens_mean"] > 100


def test_an_older_summary_has_some_costs_by_task(tmp_path):
    """GFLOP by task alone: known where the whole task is paired, and else not at all."""
    base = kept(a_run(tmp_path / "base", "ssff", tokens=10.0, gflops=2.0))
    table = json.loads(base.read_text())
    del table["tasks"]["object/3"]["gflops_mean"], table["checksum"]
    base.write_text(json.dumps(table))
    whole, part = a_run(tmp_path / "whole", "ssss"), a_run(tmp_path / "part", "sss")
    assert compare([base, whole])[0].metrics["gflops_mean"] == 2.0
    metrics = compare([base, part])[0].metrics
    assert metrics["gflops_mean"] is None and metrics["kept_tokens_mean"] == 10.0


def test_a_run_that_was_cut_short_says_so(cli, tmp_path):
    base, short = a_run(tmp_path / "base", "s" * 6), a_run(tmp_path / "short", "ss")
    write_run(short, replace(run(), status="interrupted", planned={"object/3": "0-5"}))
    row = compare([base, short])[1]
    assert row.partial and (row.status, row.ended, row.planned) == ("interrupted", 2, 6)
    printed = cli("compare", str(base), str(short)).stdout
    assert "2/6" in printed and "short: interrupted, 2 of 6 planned init states have ended" in printed
    assert not compare([base, base])[1].partial


def test_over_tasks_differences_must_be_those_of_tasks(tmp_path):
    """Task 0 lost all of 8 and nine others nothing: certain for these tasks, open for tasks of their kind."""
    base = with_tasks(tmp_path / "base", {("object", i): "s" * 8 for i in range(10)})
    new = with_tasks(tmp_path / "new", {("object", i): ("s" if i else "f") * 8 for i in range(10)})
    own, over = (compare([base, new], population)[1] for population in Population)
    assert own.verdict is Verdict.LOWER and own.p == 2 / 2**8 and own.difference == over.difference
    assert over.verdict is Verdict.OPEN and over.p == pytest.approx(0.3434, abs=1e-4)  # t = -1 with 9 degrees of freedom
    assert over.over_tasks.low < -0.3 and over.over_tasks.high > 0.1 and over.to_dict()["population"] == "tasks of their kind"


def test_a_summary_is_as_good_as_the_run(tmp_path):
    folders = [a_run(tmp_path / "a", "ssfs"), a_run(tmp_path / "b", "sfff")]
    files = [tmp_path / f"{folder.name}.json" for folder in folders]
    for folder, file in zip(folders, files, strict=True):
        write_summary(file, read_summary(folder))
    assert compare(files) == compare(folders)


def repeated(folder, outcomes, state_hash="2" * 16):
    """Adds a second repeat of each init state; that of the first has the hash "1" * 16."""
    for i, outcome in enumerate(outcomes):
        again = replace(episode(i, ENDINGS[outcome]), repeat=1, state_hash=None if outcome == "e" else state_hash)
        write_episode(folder, again)
    return folder


@pytest.mark.parametrize("state_hash", ["1" * 16, "2" * 16])
def test_repeats_that_end_alike_are_no_more_evidence(tmp_path, state_hash):
    """By the same hash one episode, by another the same outcome again: rates, p and intervals are those of one each."""
    base, other = "s" * 8 + "f" * 4, "f" * 7 + "s" * 5
    once = compare([a_run(tmp_path / "base", base), a_run(tmp_path / "other", other)])
    twice = compare([repeated(tmp_path / "base", base, state_hash), repeated(tmp_path / "other", other, state_hash)])
    assert twice == once and once[1].pairs == Pairs(both=1, lost=7, gained=4, neither=0, errors=0)


def test_repeats_that_end_differently_are_averaged(tmp_path):
    """Five init states, lost once of two times each: that is half a drop, and the same evidence as five lost ones: p 2/32."""
    base, other = a_run(tmp_path / "base", "s" * 5), repeated(a_run(tmp_path / "other", "s" * 5), "f" * 5)
    file = tmp_path / "other.json"
    write_summary(file, read_summary(other))
    for again in (other, file):
        row = compare([base, again])[1]
        assert row.rate.n == 5 and row.rate.successes == 2.5 and row.rate.low > 0.2
        assert row.pairs.fell == 5 and row.pairs.lost == 0 and row.pairs.count == 5 and row.pairs.split[0][1].repeats == 2
        assert row.p == 2 / 32 and row.difference.value == -0.5 and row.difference.low < -0.5 < row.difference.high
    assert "| 2.5/5 | 50.0 |" in as_markdown(compare([base, file]))


def test_a_repeat_in_error_leaves_its_init_state_the_others(tmp_path):
    base, other = a_run(tmp_path / "base", "sss"), repeated(a_run(tmp_path / "other", "sfe"), "eee")
    assert compare([base, other])[1].pairs == Pairs(both=1, lost=1, gained=0, neither=0, errors=1)


def test_other_worlds_are_refused(tmp_path):
    base = a_run(tmp_path / "base", "ss")
    for name, config in {
        "assets": {"assets": {"name": "official", "sha256": "1" * 64}},
        "protocol": {"suites": {"object": "1" * 64}},
        "renderer": {"drawn_by": "gpu"},
        "physics": {"packages": {"mujoco": "3.3.4", "robosuite": "1.4.0", "hf-libero": "0.1.4"}},
    }.items():
        with pytest.raises(NotComparableError, match="another world") as caught:
            compare([base, a_run(tmp_path / name, "ss", **config)])
        assert ("--frozen-fixtures" in caught.value.fix) == (name == "protocol")
    compare([base, a_run(tmp_path / "policy", "ss", model="expert", suites={"object": SHA, "goal": "2" * 64})])
    with pytest.raises(NotComparableError, match="no episode in common"):
        compare([base, a_run(tmp_path / "nothing", "")])


def test_what_is_no_run_is_said(tmp_path):
    base = a_run(tmp_path / "base", "ss")
    with pytest.raises(UsageError, match="two runs"):
        compare([base])
    for name, text in {"x": "{", "y": "[]", "z": '{"tasks": {"a": {"init_states": [1], "outcomes": "q"}}}'}.items():
        (tmp_path / f"{name}.json").write_text(text)
        with pytest.raises(RecordError, match="not the summary of a run"):
            compare([base, tmp_path / f"{name}.json"])
    table = read_summary(base)
    del table["totals"]["kept_tokens_mean"]
    (tmp_path / "totals.json").write_text(json.dumps(table))
    with pytest.raises(RecordError, match="kept_tokens_mean"):
        compare([base, tmp_path / "totals.json"])
    with pytest.raises(RecordError, match="neither a run folder nor a summary"):
        compare([base, tmp_path / "missing"])


def test_the_command(cli, tmp_path):
    runs = [str(a_run(tmp_path / name, outcomes)) for name, outcomes in {"a": "ssssss", "b": "ffffff"}.items()]
    printed = cli("compare", *runs, "--out", str(tmp_path / "table.md")).stdout
    assert "lower" in printed and "-100.0" in printed and "| b |" in (tmp_path / "table.md").read_text()
    rows = json.loads(cli("compare", *runs, "--format", "json").stdout)
    assert rows[1]["verdict"] == "lower" and rows[1]["pairs"]["lost"] == 6
    assert rows[1]["over_tasks"] is None and rows[1]["population"] == "these tasks and init states"
