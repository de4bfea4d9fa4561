"""`vla-bench doctor RUN`: what is damaged, by file and line, and `--repair`, after which the run can be resumed."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from vla_bench.doctor.repair import repair
from vla_bench.doctor.run_files import examine
from vla_bench.errors import DamagedRunError, RecordError, UsageError
from vla_bench.planned import pack
from vla_bench.queries import write_queries
from vla_bench.query_record import QueryRecord
from vla_bench.records import EpisodeKey, Status, read_episodes, read_run, write_actions, write_episode, write_run
from vla_bench.results.summary_file import read_folder, read_summary, write_summary
from vla_bench.rollout.folder import RunFolder

from ..made_runs import a_run, episode, run

QUERIES = [QueryRecord.of(8 * i, (60, 18), 28, {"vision": 3.5}) for i in range(15)]
KEYS = [EpisodeKey("object", 3, i) for i in range(4)]


@pytest.fixture
def folder(tmp_path):
    """Four planned episodes with queries and actions; the third failed."""
    path = tmp_path / "run"
    opened = RunFolder(path, replace(run(), planned=pack(KEYS), command="vla-bench eval --fresh --suite object --out elsewhere"))
    for i in range(4):
        ended = episode(i, Status.FAILURE if i == 2 else Status.SUCCESS)
        opened.add(ended, np.zeros((ended.steps, 7)), QUERIES)
    opened.end(complete=True)
    opened.close()
    return path


def lines(path):
    return path.read_text().splitlines()


def change(path, number, old, new):
    changed = lines(path)
    assert old in changed[number - 1]
    changed[number - 1] = changed[number - 1].replace(old, new)
    path.write_text("\n".join(changed) + "\n")


def found(folder):
    return [str(damage) for damage in examine(folder).damage]


def states(folder):
    return [episode.init_state for episode in read_episodes(folder)]


def test_a_whole_run_is_not_damaged(folder, cli):
    state = examine(folder)
    assert state.exit_code == 0 and not state.damage and not state.notes and len(state.episodes) == 4
    printed = cli("doctor", str(folder))
    assert printed.exit_code == 0 and "4 whole episodes, nothing damaged" in printed.stdout


def test_a_damaged_line_is_set_aside_and_its_episode_runs_again(folder, cli):
    path = folder / "episodes.jsonl"
    change(path, 2, '"steps": 120', '"steps": 121')
    before = path.read_bytes()
    printed = cli("doctor", str(folder))
    assert printed.exit_code == 4 and "episodes.jsonl:2 is damaged: its checksum does not match" in printed.stdout
    assert path.read_bytes() == before  # looking changes nothing
    mended = cli("doctor", str(folder), "--repair")
    assert mended.exit_code == 0 and f"resume: vla-bench eval --suite object --out {folder}" in mended.stderr
    assert lines(folder / "episodes.jsonl.damaged") == before.decode().splitlines()[1:2]
    assert states(folder) == [0, 2, 3] and read_folder(folder)[0].status == "interrupted"
    again = RunFolder(folder, read_run(folder))
    assert [key.init_state for key in KEYS if key not in again.done] == [1]
    again.close()
    assert cli("doctor", str(folder)).exit_code == 0


def test_a_repaired_run_of_unknown_plan_is_not_complete(tmp_path):
    folder = a_run(tmp_path / "run", "ssss")
    change(folder / "episodes.jsonl", 4, "success", "failure")
    repair(folder)
    assert read_folder(folder)[0].status == "interrupted"


def test_an_episode_with_two_outcomes_loses_both_even_where_one_is_there_twice(folder):
    for status in (Status.FAILURE, Status.SUCCESS):
        write_episode(folder, episode(1, status))
    assert found(folder) == ["episodes.jsonl:5 is a second outcome of object-t3-i01: there is another in line 2"]
    repair(folder)
    assert states(folder) == [0, 2, 3] and len(lines(folder / "episodes.jsonl.damaged")) == 3


def test_lines_that_say_the_same_twice_are_no_damage(folder):
    write_episode(folder, episode(1))
    assert not found(folder)


def test_an_episode_that_was_never_planned(folder):
    write_episode(folder, episode(9))
    assert found(folder) == ["episodes.jsonl:5 is an episode that was never planned: object-t3-i09"]
    repair(folder)
    assert read_folder(folder)[0].status == "complete"


def test_lost_queries_take_their_episode_with_them(folder):
    change(folder / "queries.jsonl", 3, '"prompt_tokens":28', '"prompt_tokens":29')
    assert found(folder) == [
        "queries.jsonl:3 is damaged: its checksum does not match",
        "episodes.jsonl:3 is object-t3-i02 with 15 queries, of which queries.jsonl has 0",
    ]
    repair(folder)
    assert states(folder) == [0, 1, 3] and len(lines(folder / "queries.jsonl")) == 3


def test_queries_of_an_earlier_attempt_may_be_damaged_alone(folder):
    write_queries(folder, KEYS[0], QUERIES)
    change(folder / "queries.jsonl", 1, '"step":0', '"step":1')
    assert len(found(folder)) == 1
    repair(folder)
    assert states(folder) == [0, 1, 2, 3] and read_run(folder).status == "complete" and not found(folder)


@pytest.mark.parametrize(
    ("actions", "what"),
    [
        (np.zeros((9, 7)), "has 9 actions of type float64, and its episode 120 steps"),
        (np.zeros((120, 7), np.float32), "has 120 actions of type float32"),
        (np.zeros((120, 6)), "cannot be read"),
        (np.array([{}]), "cannot be read"),
        (None, "is missing"),
    ],
)
def test_actions_that_cannot_be_those_of_the_episode(folder, actions, what):
    path = folder / "actions" / "object-t3-i01.npy"
    path.unlink()
    if actions is not None:
        np.save(path, actions)
    assert len(found(folder)) == 1 and found(folder)[0].startswith(f"actions/object-t3-i01.npy {what}")
    moved = repair(folder).moved
    assert states(folder) == [0, 2, 3] and ("actions/object-t3-i01.npy to" in str(moved)) == (actions is not None)
    assert actions is None or path.with_name("object-t3-i01.npy.damaged").exists()


def test_what_is_merely_missing_is_a_note(folder):
    for path in (folder / "actions").iterdir():
        path.unlink()
    (folder / "actions").rmdir()
    write_run(folder, replace(read_run(folder), planned=pack([*KEYS, KEYS[0]._replace(init_state=7)])))
    write_episode(folder, episode(7, Status.ERROR))
    (folder / "episodes.jsonl.torn").write_text('{"suite"\n')
    with open(folder / "episodes.jsonl", "a") as file:
        file.write('{"suite": "obj')
    state = examine(folder)
    assert not state.damage
    for note in ("there are no actions", "1 episodes ended in errors", "half lines of crashes: 1", "ends in half a line"):
        assert note in str(state.notes)
    repair(folder)
    assert (folder / "episodes.jsonl").read_text().endswith('{"suite": "obj')


def test_missing_videos_and_episodes_are_noted(tmp_path):
    folder = a_run(tmp_path / "run", "s")
    write_run(folder, replace(run(), planned=pack(KEYS)))
    write_episode(folder, episode(1, Status.FAILURE, video="videos/b.mp4"))
    assert "1 videos are named but not there, the first is videos/b.mp4" in examine(folder).notes
    assert "2 of 4 planned episodes are not there, the first is object-t3-i02" in examine(folder).notes


def test_a_damaged_configuration_cannot_be_repaired(folder):
    path = folder / "run.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    assert examine(folder).exit_code == 4 and "run.json was changed by hand" in found(folder)[0]
    with pytest.raises(DamagedRunError, match="changed by hand") as caught:
        repair(folder)
    assert "--fresh" in caught.value.fix and len(lines(folder / "episodes.jsonl")) == 4


def test_nobody_repairs_under_a_writer(folder):
    writer = RunFolder(folder, read_run(folder))
    with pytest.raises(RecordError, match="another vla-bench"):
        repair(folder)
    writer.close()


def test_a_name_in_a_line_leads_to_no_file_elsewhere(folder, tmp_path):
    (tmp_path / "actions").mkdir()
    write_actions(tmp_path, KEYS[0], np.zeros((3, 7)))
    write_episode(folder, replace(episode(0), suite="../../actions/object"))
    assert "episodes.jsonl:5 is not an episode: suite is" in found(folder)[0]
    repair(folder)
    assert (tmp_path / "actions" / "object-t3-i00.npy").exists()


def test_a_summary_is_looked_at_too(folder, tmp_path, cli):
    file = tmp_path / "a.json"
    write_summary(file, read_summary(folder))
    assert cli("doctor", str(file)).exit_code == 0
    file.write_text(file.read_text().replace('"outcomes": "ssfs"', '"outcomes": "ssss"'))
    printed = cli("doctor", str(file))
    assert printed.exit_code == 4 and "a.json is damaged: its checksum does not match" in printed.stdout
    assert isinstance(cli("doctor", str(file), "--repair").exception, UsageError)


def test_as_json(folder, cli):
    change(folder / "episodes.jsonl", 2, "success", "failure")
    state = json.loads(cli("doctor", str(folder), "--format", "json").stdout)
    assert state["damage"] == [{"file": "episodes.jsonl", "line": 2, "what": "is damaged: its checksum does not match"}]
    mended = json.loads(cli("doctor", str(folder), "--repair", "--format", "json").stdout)
    assert mended["damage"] == state["damage"] and mended["moved"] and mended["resume"].endswith(f"--out {folder}")


def test_where_there_is_no_run(cli, tmp_path):
    assert isinstance(cli("doctor", str(tmp_path)).exception, RecordError)
    assert isinstance(cli("doctor", "--repair").exception, UsageError)


def test_looking_at_a_run_imports_neither_torch_nor_the_simulator(folder):
    code = f"""
import sys
from typer.testing import CliRunner
from vla_bench.cli import app
assert CliRunner().invoke(app, ["doctor", {str(folder)!r}, "--repair"]).exit_code == 0
heavy = {{"torch", "mujoco", "robosuite", "matplotlib", "scipy"}} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
