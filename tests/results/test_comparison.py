"""Runs are compared episode by episode, and only where they had the same world."""

import json
from dataclasses import replace

import pytest

from vla_bench.errors import NotComparableError, RecordError, UsageError
from vla_bench.records import write_episode
from vla_bench.report.compared import comparison_markdown
from vla_bench.results.comparison import Pairs, Verdict, compare
from vla_bench.results.summary_file import read_summary, write_summary

from ..made_runs import ENDINGS, SHA, a_run, episode


def test_runs_are_paired_by_init_state(tmp_path):
    """Of 8 episodes the second run loses six that the first won, gains one, and has no answer to the last."""
    dense, random = a_run(tmp_path / "dense", "ssssssfs"), a_run(tmp_path / "random-0.9", "ffffffse")
    first, second = compare([dense, random])
    assert first.pairs is None and first.rate.successes == 7 and first.name == "dense"
    assert second.pairs == Pairs(both=0, lost=6, gained=1, neither=0, errors=1)
    assert second.p == 2 * 8 / 2**7 and second.difference.value == pytest.approx(-5 / 7)
    assert second.verdict is Verdict.ERRORS  # 7 of 8 pairs are not 98 %
    table = comparison_markdown([first, second]).splitlines()
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
    assert "| 128.0 |" in comparison_markdown(rows).splitlines()[2]
    (swapped,) = compare([worse, base])[1:]
    assert swapped.verdict is Verdict.HIGHER


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
    assert "| 2.5/5 | 50.0 |" in comparison_markdown(compare([base, file]))


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
        with pytest.raises(NotComparableError, match="another world"):
            compare([base, a_run(tmp_path / name, "ss", **config)])
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
    with pytest.raises(RecordError, match="not the summary of a run"):
        compare([base, tmp_path / "missing"])


def test_the_command(cli, tmp_path):
    runs = [str(a_run(tmp_path / name, outcomes)) for name, outcomes in {"a": "ssssss", "b": "ffffff"}.items()]
    printed = cli("compare", *runs, "--out", str(tmp_path / "table.md")).stdout
    assert "lower" in printed and "-100.0" in printed and "| b |" in (tmp_path / "table.md").read_text()
    rows = json.loads(cli("compare", *runs, "--format", "json").stdout)
    assert rows[1]["verdict"] == "lower" and rows[1]["pairs"]["lost"] == 6
    assert rows[1]["over_tasks"] is None and rows[1]["population"] == "these tasks and init states"
