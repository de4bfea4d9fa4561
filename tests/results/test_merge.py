"""`vla-bench merge`: shards and suites become one run folder; overlaps and gaps are listed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from vla_bench.errors import NotComparableError, UsageError
from vla_bench.planned import pack
from vla_bench.queries import read_queries, write_queries
from vla_bench.query_record import QueryRecord
from vla_bench.records import Status, read_actions, read_run, write_actions, write_episode, write_run
from vla_bench.results.summary_file import read_folder, read_summary

from ..made_runs import episode, run

EPISODES = [episode(i, Status.FAILURE if i % 3 else Status.SUCCESS) for i in range(8)]


def write(folder, episodes, planned=None, shard=None, **config):
    folder.mkdir()
    plan = None if planned is None else {"object/3": planned}
    whole = None if shard is None else {"number": shard, "whole": {"object/3": "0-7"}}
    named = f"id-{shard.replace('/', 'of')}" if shard else "id"
    write_run(folder, replace(run(**config), run_id=named, planned=plan, shard=whole, git_commit="a" * 40))
    for each in episodes:
        write_queries(folder, each.key, [QueryRecord(each.init_state, (3, 4), None, {})])
        write_actions(folder, each.key, np.full((2, 7), each.init_state))
        write_episode(folder, each)
    return str(folder)


@pytest.fixture
def shards(tmp_path):
    """Every second episode of eight each, in another order than that of their keys."""
    return [
        write(tmp_path / "one", EPISODES[6::-2], "0,2,4,6", "1/2"),
        write(tmp_path / "two", EPISODES[1::2], "1,3,5,7", "2/2"),
    ]


def test_shards_become_the_run_that_they_are_parts_of(cli, tmp_path, shards, schema):
    said = cli("merge", *shards, "whole", "--summary", "whole.json").stdout
    assert "whole: 8 episodes of 2 runs, complete" in said and "missing" not in said
    whole, episodes = read_folder(tmp_path / "whole")
    assert episodes == EPISODES and whole.planned == {"object/3": "0-7"} and whole.shard is None and whole.run_id == "id"
    lines = (tmp_path / "whole" / "episodes.jsonl").read_text().splitlines()
    assert [json.loads(line)["init_state"] for line in lines] == list(range(8))
    queries = read_queries(tmp_path / "whole")
    assert list(queries) == [each.key for each in EPISODES] and all(queries[key][0].step == key.init_state for key in queries)
    assert all((read_actions(tmp_path / "whole", each.key) == each.init_state).all() for each in EPISODES)
    schema("run", json.loads((tmp_path / "whole" / "run.json").read_text()))
    assert [(part["shard"], part["episodes"], part["folder"]) for part in whole.parts] == [
        ("1/2", 4, shards[0]),
        ("2/2", 4, shards[1]),
    ]
    assert read_summary(tmp_path / "whole.json") == read_summary(tmp_path / "whole")
    assert read_summary(tmp_path / "whole")["config_hash"] == run().config_hash
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two", "whole", "whole.json"]


def test_keep_takes_the_halves_of_a_suite(cli, tmp_path, shards):
    cli("keep", *shards, "kept.json")
    kept = json.loads((tmp_path / "kept.json").read_text())
    assert kept["tasks"]["object/3"]["init_states"] == list(range(8)) and kept["status"] == "complete"


def test_overlaps_are_listed(cli, tmp_path, shards):
    third = write(tmp_path / "three", EPISODES[2:5], "2-4")
    refused = cli("merge", *shards, third, "whole", "--partial")
    assert refused.exit_code == NotComparableError.exit_code
    for line in (f"{shards[0]} and {third} both have object/3: 2,4", f"{shards[1]} and {third} both have object/3: 3"):
        assert line in str(refused.exception)
    assert not (tmp_path / "whole").exists()


def test_gaps_are_listed(cli, tmp_path):
    one = write(tmp_path / "one", EPISODES[:4:2], "0,2,4,6", "1/2")  # was killed
    two = write(tmp_path / "two", EPISODES[1::2], "1,3,5,7", "2/2")
    refused = cli("merge", one, two, "whole")
    assert refused.exit_code == NotComparableError.exit_code
    assert "2 planned episodes are in none of these runs: object/3: 4,6" in str(refused.exception)
    assert not (tmp_path / "whole").exists()
    said = cli("merge", one, two, "whole", "--partial").stdout
    assert "6 episodes of 2 runs, interrupted" in said and "2 planned episodes are missing: object/3: 4,6" in said
    assert read_run(tmp_path / "whole").status == "interrupted"


def test_a_shard_that_was_never_run_is_a_gap(cli, shards):
    refused = cli("merge", shards[0], "whole")
    assert "4 planned episodes are in none of these runs: object/3: 1,3,5,7" in str(refused.exception)


def test_a_merged_part_is_merged_again(cli, tmp_path, shards):
    cli("merge", shards[0], write(tmp_path / "extra", [episode(9)], "9"), "first", "--partial")
    cli("merge", "first", shards[1], "whole")
    whole, episodes = read_folder(tmp_path / "whole")
    assert [each.init_state for each in episodes] == [*range(8), 9] and whole.status == "complete"
    assert [part["folder"] for part in whole.parts] == [shards[0], str(tmp_path / "extra"), shards[1]]


def test_runs_from_before_plans_must_have_been_complete(cli, tmp_path):
    halves = [write(tmp_path / "one", EPISODES[:4]), write(tmp_path / "two", EPISODES[4:])]
    assert "8 episodes of 2 runs, complete" in cli("merge", *halves, "whole").stdout
    killed = replace(read_run(tmp_path / "two"), status="started")
    write_run(tmp_path / "two", killed)
    refused = cli("merge", *halves, "other")
    assert refused.exit_code == NotComparableError.exit_code and "not all of these runs are complete" in str(refused.exception)


def test_other_configurations_and_suites_are_refused(cli, tmp_path, shards):
    other = cli("merge", *shards, write(tmp_path / "seed", [episode(9)], "9", seed=1), "whole")
    assert other.exit_code == NotComparableError.exit_code and "they differ in seed" in str(other.exception)
    changed = cli("merge", *shards, write(tmp_path / "suite", [episode(9)], "9", suites={"object": "7" * 64}), "whole")
    assert changed.exit_code == NotComparableError.exit_code and "they differ in the suite object" in str(changed.exception)


def test_nothing_is_overwritten(cli, tmp_path, shards):
    taken = cli("merge", shards[0], shards[1])
    assert taken.exit_code == NotComparableError.exit_code  # the last argument is the folder to write: one shard alone has gaps
    taken = cli("merge", *shards, shards[0])
    assert taken.exit_code == UsageError.exit_code and "exists" in str(taken.exception)
    assert [each.init_state for each in read_folder(tmp_path / "one")[1]] == [0, 2, 4, 6]
    (tmp_path / "empty").mkdir()
    assert cli("merge", *shards, "empty").exit_code == 0 and read_run(tmp_path / "empty").planned == pack(e.key for e in EPISODES)
