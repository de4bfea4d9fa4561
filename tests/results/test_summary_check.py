"""A summary is believed where its parts agree with each other, and with its checksum."""

import json
import random
from dataclasses import replace

import pytest

from vla_bench.errors import DamagedRunError, RecordError
from vla_bench.records import write_episode, write_run
from vla_bench.results.comparison import compare
from vla_bench.results.summary_file import read_summary, write_summary

from ..conftest import ROOT
from ..made_runs import a_run, episode, run

COMMITTED = [path for path in sorted((ROOT / "results").rglob("*.json")) if '"totals"' in path.read_text(encoding="utf-8")]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.json"
    write_summary(path, read_summary(a_run(tmp_path / "run", "ssfse", tokens=40.125)))
    return path


def changed(file, change, checksum=False):
    """The file after `change(table)`; with its checksum as it was, or as in files from before, without."""
    table = json.loads(file.read_text())
    if not checksum:
        del table["checksum"]
    change(table)
    file.write_text(json.dumps(table))
    return file


def test_a_summary_without_a_checksum_is_still_read(file):
    before = read_summary(file)
    assert "checksum" in json.loads(file.read_text()) and "checksum" not in before
    assert read_summary(changed(file, lambda table: None)) == before


def test_how_a_file_is_laid_out_does_not_matter(file):
    before = read_summary(file)
    assert read_summary(changed(file, lambda table: None, checksum=True)) == before


@pytest.mark.parametrize("key", ["command", "checksum", "created"])
def test_any_other_content_has_another_checksum(file, key):
    with pytest.raises(DamagedRunError, match="its checksum does not match") as caught:
        read_summary(changed(file, lambda table: table.update({key: "0" * 16}), checksum=True))
    assert caught.value.exit_code == 4 and caught.value.fix.startswith("vla-bench keep")


def outcome(table):
    table["tasks"]["object/3"]["outcomes"] = "sssse"


def longer(table):
    table["tasks"]["object/3"]["steps"][0] += 1


def tokens(table):
    table["totals"]["kept_tokens_mean"] = 12.0


def times(table):
    table["totals"]["policy_ms_mean"] = 9.0


def one_suite(table):
    table["totals"]["suites"]["object"]["successes"] = 4


def one_task(table):
    table["totals"]["suites"]["object"]["tasks"]["3"]["interval"][0] = 0.9


def no_task(table):
    del table["totals"]["suites"]["object"]["tasks"]["3"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (outcome, "totals.successes is 3, and 4 by its episodes"),
        (longer, "totals.steps_mean"),
        (times, "totals.policy_ms_mean is 9.0, and 0.1 by its episodes"),
        (tokens, "totals.kept_tokens_mean is 12.0, and 40.1"),
        (one_suite, "totals.suites.object.successes is 4"),
        (one_task, "totals.suites.object.tasks.3.interval"),
        (no_task, "totals.suites.object.tasks are"),
        (lambda table: table["config"].update(seed=7), "config_hash is not that of its config"),
        (lambda table: table.update(planned={"object/3": "0-9"}), "it says complete, and lacks object-t3-i05"),
    ],
)
def test_parts_that_contradict_each_other(file, change, what):
    with pytest.raises(DamagedRunError, match=f"a.json is damaged: {what}"):
        read_summary(changed(file, change))


@pytest.mark.parametrize(
    ("key", "value", "what"),
    [
        ("init_states", [0, 1, 2, 3, 3], "two episodes object-t3-i03"),
        ("steps", [120, 120, 120, -120, 0], "steps.*Expected `int` >= 0"),
        ("steps", [120, 0, 120, 120, 0], "an episode with"),
        ("steps", [120, 120], "2 steps of 5 episodes"),
        ("init_hash", ["0" * 16], "1 init_hash of 5 episodes"),
        ("queries", [15, 15.0, 15, 15, 15], "queries.*Expected `int`, got `float`"),
        ("kept_tokens_mean", ["many"] * 5, "kept_tokens_mean.*got `str`"),
        ("outcomes", "ssfsx", "outcomes 'ssfsx'"),
    ],
)
def test_episodes_that_cannot_be(file, key, value, what):
    with pytest.raises(RecordError, match=what):
        read_summary(changed(file, lambda table: table["tasks"]["object/3"].update({key: value})))


def test_repeats_that_are_one_episode_are_counted_once_here_too(tmp_path):
    folder = a_run(tmp_path / "run", "sf")
    write_episode(folder, replace(episode(0), repeat=1))
    write_summary(tmp_path / "a.json", read_summary(folder))
    assert read_summary(changed(tmp_path / "a.json", lambda table: None))["totals"]["successes"] == 1


def test_changed_bytes_of_a_summary_never_change_a_comparison(tmp_path):
    (tmp_path / "base").mkdir()
    write_run(tmp_path / "base", run())
    for i in range(12):
        write_episode(tmp_path / "base", episode(i))
    file = tmp_path / "other.json"
    write_summary(file, read_summary(a_run(tmp_path / "other", "ssffssffssff")))
    text, before = file.read_bytes(), compare([tmp_path / "base", file])[1]
    draw, refused = random.Random(0), 0
    for _ in range(250):
        place = draw.randrange(len(text))
        file.write_bytes(text[:place] + bytes([draw.randrange(256)]) + text[place + 1 :])
        try:
            assert compare([tmp_path / "base", file])[1] == before
        except RecordError:
            refused += 1
    assert refused > 200


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.relative_to(ROOT / "results").as_posix())
def test_committed_summaries_are_whole(path):
    assert read_summary(path)["tasks"] and json.loads(path.read_text())["checksum"]


def test_the_baselines_are_comparable(cli):
    baselines = [str(ROOT / "results" / "baselines" / f"nano-{name}.json") for name in ("oft", "lightvla")]
    rows = json.loads(cli("compare", *baselines, "--format", "json").stdout)
    assert (rows[1]["pairs"]["lost"], rows[1]["pairs"]["gained"]) == (250, 165)
