"""The file of a sweep: rows with their run folders, joined where a row has one for each suite."""

import json
from dataclasses import replace

import pytest

from vla_bench.errors import NotComparableError, RecordError
from vla_bench.queries import write_queries
from vla_bench.query_record import QueryRecord
from vla_bench.records import EpisodeKey, write_episode, write_run
from vla_bench.results import load
from vla_bench.results.reported import read_reported
from vla_bench.results.sweep_file import RowRun, SweepFile, SweepRow, read_row, read_sweep, write_sweep
from vla_bench.trace import Cut, QueryTrace, pack

from ..made_runs import SHA, episode, run, with_tasks

ASKED = "random(keep=match:own)"
POLICY = {"checkpoint": SHA, "visual_tokens": 128}


def a_sweep(folder):
    """A row in one folder, a row with a folder for each suite, and one that has not begun."""
    folder.mkdir()
    with_tasks(folder / "own", {("goal", 0): "sf", ("object", 3): "ss"}, kept_tokens_mean=12.0)
    for suite, keep in (("goal", 11), ("object", 14)):
        one = run(suites={suite: SHA}, pruner=f"random(keep={keep})", policy=POLICY | {"pruner": f"random(keep={keep})"})
        one.suites = {suite: {}}
        (folder / f"drawn-{suite}").mkdir()
        write_run(folder / f"drawn-{suite}", one)
        for state in (0, 1):
            where = {"suite": suite, "task_id": 0 if suite == "goal" else 3, "task": "a_task"}
            write_episode(folder / f"drawn-{suite}", episode(state, **where, kept_tokens_mean=float(keep)))
    runs = tuple(RowRun(f"drawn-{suite}", (suite,), f"random(keep={keep})") for suite, keep in (("goal", 11), ("object", 14)))
    rows = (SweepRow("drawn", "nano", ASKED, runs), SweepRow("own", "nano", None, (RowRun("own", ("goal", "object")),)))
    sweep = SweepFile("Does it?", "vla-bench sweep", "own", (*rows, SweepRow("later", "nano", "grid")))
    write_sweep(folder, sweep)
    return sweep


def test_a_sweep_is_read_as_it_was_written(tmp_path):
    sweep = a_sweep(tmp_path / "sweep")
    assert read_sweep(tmp_path / "sweep") == sweep
    assert [row.name for row in sweep.base_first] == ["own", "drawn", "later"]


def test_the_runs_of_a_row_are_joined_as_it_was_asked_for(tmp_path):
    sweep = a_sweep(tmp_path / "sweep")
    whole, episodes = read_row(tmp_path / "sweep", sweep.row("drawn"))
    assert whole.config["pruner"] == whole.config["policy"]["pruner"] == ASKED and list(whole.suites) == ["goal", "object"]
    assert [(e.suite, e.metrics["kept_tokens_mean"]) for e in episodes] == [("goal", 11.0)] * 2 + [("object", 14.0)] * 2
    other = run(suites={"object": SHA}, seed=1, policy=POLICY)
    write_run(tmp_path / "sweep" / "drawn-object", other)
    with pytest.raises(NotComparableError, match="differ in seed"):
        read_row(tmp_path / "sweep", sweep.row("drawn"))


def test_a_report_takes_the_rows_with_the_base_first_and_names_what_has_not_begun(tmp_path):
    a_sweep(tmp_path / "sweep")
    found = read_reported([tmp_path / "sweep"])
    assert [(each.name, each.row.rate.n) for each in found.runs] == [("own", 4), ("drawn", 4)]
    assert "later" in found.left_out[0][1].message and "has not begun" in found.left_out[0][1].message


def test_a_row_of_several_folders_has_its_token_use_its_films_and_its_queries(cli, tmp_path):
    a_sweep(tmp_path / "sweep")
    masks = {"goal": pack([5], 64), "object": pack([9], 64)}
    for suite, mask in masks.items():
        folder = tmp_path / "sweep" / f"drawn-{suite}"
        (folder / "videos").mkdir()
        (folder / "videos" / "first.mp4").write_bytes(b"film")
        trace = QueryTrace((Cut("LLM input", 128, 2),), (mask, mask))
        for state in (0, 1):
            key = EpisodeKey(suite, 0 if suite == "goal" else 3, state)
            write_queries(folder, key, [QueryRecord.of(0, (1, 1), 9, {}, trace=trace)])
        filmed = episode(2, suite=suite, task_id=key.task_id, task="a_task", video="videos/first.mp4")
        write_episode(folder, filmed)
    assert cli("report", str(tmp_path / "sweep"), "--out", "out", "--html", "page.html").exit_code == 6  # a row has not begun
    use = (tmp_path / "out" / "figures" / "token-use-1.csv").read_text().splitlines()
    assert [line for line in use if line.startswith("camera 0") and not line.endswith(",0,4")] == [
        "camera 0,5,2,4",
        "camera 0,9,2,4",
    ]
    page = (tmp_path / "page.html").read_text()
    assert all(f"./sweep/drawn-{suite}/videos/first.mp4" in page for suite in masks) and page.count('"kept":[2]') == 4
    with pytest.raises(RecordError, match="has not begun"):
        load(tmp_path / "sweep")
    sweep = read_sweep(tmp_path / "sweep")
    write_sweep(tmp_path / "sweep", replace(sweep, rows=sweep.rows[:2]))
    joined = load(tmp_path / "sweep").queries
    assert set(joined["run"]) == {"drawn"} and sorted(joined["suite"]) == ["goal", "goal", "object", "object"]


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.update(format=2),
        lambda table: table.update(base="nobody"),
        lambda table: table["rows"].append(table["rows"][0]),
        lambda table: table["rows"][1]["runs"][0].update(folder="../own"),
        lambda table: table["rows"][1].pop("model"),
        lambda table: table.update(unknown=1),
    ],
)
def test_what_is_no_sweep_is_refused(tmp_path, change):
    a_sweep(tmp_path / "sweep")
    file = tmp_path / "sweep" / "sweep.json"
    table = json.loads(file.read_text())
    change(table)
    file.write_text(json.dumps(table))
    with pytest.raises(RecordError, match="is not the file of a sweep"):
        read_sweep(tmp_path / "sweep")
