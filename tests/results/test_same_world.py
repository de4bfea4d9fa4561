"""Two runs had the same world only where both say so."""

import json
from dataclasses import replace

import pytest

from vla_bench.errors import NotComparableError
from vla_bench.records import write_episode, write_run
from vla_bench.results.comparison import compare
from vla_bench.results.summary_file import read_summary, write_summary

from ..made_runs import ENDINGS, SHA, a_run, episode, run


def without(folder, *path):
    """A run whose configuration does not say something, with the right hash."""
    folder.mkdir()
    config = json.loads(json.dumps(run().config))
    table = config
    for key in path[:-1]:
        table = table[key]
    del table[path[-1]]
    write_run(folder, replace(run(), config=config))
    write_episode(folder, episode(0))
    return folder


@pytest.mark.parametrize("path", [("assets",), ("packages",), ("packages", "mujoco"), ("gl_backend",), ("suites", "object")])
def test_what_a_run_does_not_say_is_not_the_same(tmp_path, path):
    base, other = a_run(tmp_path / "base", "s"), without(tmp_path / "other", *path)
    for runs, here in (([base, other], "not said here"), ([other, base], "not said there"), ([other, other], "not said here")):
        with pytest.raises(NotComparableError, match=here) as caught:
            compare(runs)
        assert ".".join(path) in str(caught.value) and caught.value.exit_code == 4


def test_without_any_suite_nothing_is_the_same(tmp_path):
    base = a_run(tmp_path / "base", "s")
    with pytest.raises(NotComparableError, match=r"suites\.object: 0+ there, not said here"):
        compare([base, without(tmp_path / "other", "suites")])


def test_suites_of_one_run_alone_do_not_matter(tmp_path):
    base = a_run(tmp_path / "base", "ss")
    assert compare([base, a_run(tmp_path / "other", "ss", suites={"object": SHA, "goal": "2" * 64})])[1].pairs.both == 2


def started_elsewhere(folder, outcomes, other="5" * 16):
    """From init state 1 up other states under the same numbers."""
    folder.mkdir()
    write_run(folder, run())
    for i, outcome in enumerate(outcomes):
        changed = {"init_hash": other} if i and outcome != "e" else {}
        write_episode(folder, episode(i, ENDINGS[outcome], **changed))
    return folder


def test_other_init_states_under_the_same_numbers_are_another_world(tmp_path):
    base, other = a_run(tmp_path / "base", "sss"), started_elsewhere(tmp_path / "other", "sss")
    file = tmp_path / "other.json"
    write_summary(file, read_summary(other))
    for again in (other, file):
        with pytest.raises(NotComparableError, match=r"2 of one number have another state, the first is object-t3-i01"):
            compare([base, again])


def test_episodes_in_error_and_old_summaries_have_no_init_state_to_differ(tmp_path):
    base = a_run(tmp_path / "base", "sss")
    assert compare([base, started_elsewhere(tmp_path / "errors", "see")])[1].pairs.errors == 2
    old = read_summary(base)
    del old["tasks"]["object/3"]["init_hash"]
    write_summary(tmp_path / "old.json", old)
    assert compare([tmp_path / "old.json", started_elsewhere(tmp_path / "other", "sss")])[1].pairs.both == 3
