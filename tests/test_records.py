import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from vla_bench.errors import DamagedRunError, NotComparableError, RecordError
from vla_bench.lines import append_line
from vla_bench.planned import pack
from vla_bench.records import Episode, EpisodeKey, Status, read_actions, read_episodes, read_run, write_actions, write_run
from vla_bench.rollout.folder import RunFolder

from .made_runs import SHA, episode, run


def test_episodes_and_runs_fit_their_schemas(schema):
    for each in (
        episode(),
        episode(status=Status.FAILURE, video="videos/a.mp4", kept_tokens_mean=78.2),
        episode(status=Status.ERROR),
    ):
        schema("episode", json.loads(each.to_json()))
        assert Episode.from_json(each.to_json()) == each
    schema("run", dataclasses.asdict(run()))


def test_a_model_s_episode_and_run_fit_their_schemas(schema):
    metrics = {"kept_tokens_mean": 40.5, "kept_tokens_min": 38, "kept_tokens_max": 43, "kept_tokens_by_camera": [30.5, 10.0]}
    each = episode(**metrics, preprocess_ms_mean=4.2, model_ms_mean=310.0, gflops_mean=2997.0)
    schema("episode", json.loads(each.to_json()))
    assert Episode.from_json(each.to_json()) == each
    schema("run", dataclasses.asdict(run(pruner="lightvla", policy={"checkpoint": SHA, "visual_tokens": 512})))


def without_checksum(each):
    return {key: value for key, value in json.loads(each.to_json()).items() if key != "checksum"}


def test_lines_from_before_models_reported_are_still_read(schema, tmp_path):
    new = {"kept_tokens_min", "kept_tokens_max", "kept_tokens_by_camera", "preprocess_ms_mean", "model_ms_mean", "gflops_mean"}
    old = {k: v for k, v in without_checksum(episode()).items() if k not in new}
    assert len(old) == 18
    schema("episode", old)
    append_line(tmp_path / "episodes.jsonl", json.dumps(old))
    assert list(read_episodes(tmp_path)) == [episode()]


def test_schema_rejects_what_must_not_be(schema):
    from jsonschema import ValidationError

    for broken in (
        json.loads(episode().to_json()) | {"status": "timeout"},
        json.loads(episode().to_json()) | {"error": {"type": "x", "message": "y"}},
        json.loads(episode(status=Status.ERROR).to_json()) | {"error": None},
        json.loads(episode().to_json()) | {"surprise": 1},
        json.loads(episode().to_json()) | {"kept_tokens_min": -1},
        json.loads(episode().to_json()) | {"kept_tokens_by_camera": 40.5},
    ):
        with pytest.raises(ValidationError):
            schema("episode", broken)


def test_half_a_line_is_an_episode_that_never_ended(tmp_path):
    path = tmp_path / "episodes.jsonl"
    append_line(path, episode(0).to_json())
    half = episode(1).to_json()[:57]
    with open(path, "a") as file:
        file.write(half)  # the machine stopped here
    assert [e.init_state for e in read_episodes(tmp_path)] == [0]
    append_line(path, episode(2).to_json())
    assert [e.init_state for e in read_episodes(tmp_path)] == [0, 2]
    assert (tmp_path / "episodes.jsonl.torn").read_text() == half + "\n"  # nothing is thrown away
    assert path.read_text() == "".join(episode(i).to_json() + "\n" for i in (0, 2))


def test_half_a_line_alone_in_its_file(tmp_path):
    (tmp_path / "episodes.jsonl").write_text('{"suite": "obj')
    append_line(tmp_path / "episodes.jsonl", episode(2).to_json())
    assert [e.init_state for e in read_episodes(tmp_path)] == [2]


def test_a_whole_line_without_its_end_counts(tmp_path):
    path = tmp_path / "episodes.jsonl"
    path.write_text(episode(0).to_json())
    append_line(path, episode(1).to_json())
    assert [e.init_state for e in read_episodes(tmp_path)] == [0, 1] and not path.with_name("episodes.jsonl.torn").exists()


def test_an_episode_counts_once(tmp_path):
    for _ in range(2):
        append_line(tmp_path / "episodes.jsonl", episode(4).to_json())
    assert len(list(read_episodes(tmp_path))) == 1


@pytest.mark.parametrize("line", ['{"suite": "object"}', "[]", "3"])
def test_whole_lines_that_are_no_episodes_are_an_error(tmp_path, line):
    append_line(tmp_path / "episodes.jsonl", line)
    with pytest.raises(DamagedRunError, match=r"episodes.jsonl:1 is not an episode"):
        list(read_episodes(tmp_path))


def write_lines(folder, lines):
    (folder / "episodes.jsonl").write_text("".join(line + "\n" for line in lines))


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_line_that_was_cut_is_damage_wherever_it_ends(tmp_path, number):
    lines = [episode(i).to_json() for i in range(3)]
    lines[number - 1] = lines[number - 1][:80]
    write_lines(tmp_path, lines)
    with pytest.raises(DamagedRunError, match=rf"episodes.jsonl:{number} is damaged") as caught:
        list(read_episodes(tmp_path))
    assert caught.value.exit_code == 4 and caught.value.fix == f"vla-bench doctor {tmp_path} --repair"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "timeout"}, "status is 'timeout': Invalid enum value"),
        ({"status": "error"}, "error is None"),
        ({"steps": -1}, "steps is -1"),
        ({"steps": 12.0}, r"steps is 12\.0: Expected `int`"),
        ({"steps": True}, "steps is True"),
        ({"init_state": -3}, "init_state is -3"),
        ({"attempts": 0}, "attempts is 0"),
        ({"state_hash": None}, "state_hash is None"),
        ({"init_hash": "6cd4"}, "init_hash is '6cd4'"),
        ({"suite": ""}, "suite is ''"),
        ({"suite": "../../elsewhere"}, "suite is '../../elsewhere'"),
        ({"video": "../../elsewhere.mp4"}, "video is '../../elsewhere.mp4'"),
        ({"wall_s": -0.5}, r"wall_s is -0\.5"),
        ({"kept_tokens_mean": -1.0}, "kept_tokens_mean is -1"),
        ({"kept_tokens_mein": 3.0}, "unknown field 'kept_tokens_mein'"),
    ],
)
def test_values_that_no_episode_has(tmp_path, change, message):
    write_lines(tmp_path, [episode(0).to_json(), json.dumps(without_checksum(episode(1)) | change)])
    with pytest.raises(DamagedRunError, match=rf"episodes.jsonl:2 is not an episode: .*{message}"):
        list(read_episodes(tmp_path))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_numbers_that_are_not_finite(tmp_path, number):
    write_lines(tmp_path, [json.dumps(without_checksum(episode(0))).replace('"wall_s": 3.5', f'"wall_s": {number}')])
    with pytest.raises(DamagedRunError, match="episodes.jsonl:1 is damaged: (JSON is malformed|Number out of range)"):
        list(read_episodes(tmp_path))


@pytest.mark.parametrize("other", [{"status": Status.FAILURE}, {"steps": 121}, {"state_hash": "2" * 16}])
def test_an_episode_with_two_outcomes_has_none(tmp_path, other):
    again = dataclasses.replace(episode(4), **other)
    write_lines(tmp_path, [episode(4).to_json(), episode(5).to_json(), again.to_json()])
    with pytest.raises(DamagedRunError, match=r"episodes.jsonl:3 is a second outcome of object-t3-i04.* in line 1"):
        list(read_episodes(tmp_path))


def test_a_changed_digit_is_seen(tmp_path):
    """It leaves an episode that might have been, but for its checksum."""
    lines = [episode(i).to_json() for i in range(3)]
    write_lines(tmp_path, [lines[0], lines[1].replace('"init_state": 1', '"init_state": 8'), lines[2]])
    with pytest.raises(DamagedRunError, match="episodes.jsonl:2 is damaged: its checksum does not match"):
        list(read_episodes(tmp_path))


@pytest.mark.parametrize("name", ["checksun", "wall_s", "Checksum"])
def test_a_checksum_of_another_name_is_damage(tmp_path, name):
    write_lines(tmp_path, [episode(0).to_json().replace('"checksum"', f'"{name}"')])
    with pytest.raises(DamagedRunError, match="episodes.jsonl:1 is"):
        list(read_episodes(tmp_path))


def test_a_run_with_checksums_has_one_in_every_line(tmp_path):
    """Without `run.json`, and in one from before, a line may be without."""
    write_lines(tmp_path, [episode(0).to_json(), json.dumps(without_checksum(episode(1)))])
    assert len(list(read_episodes(tmp_path))) == 2
    write_run(tmp_path, run())
    with pytest.raises(DamagedRunError, match="episodes.jsonl:2 is damaged: its checksum is missing"):
        list(read_episodes(tmp_path))
    path = tmp_path / "run.json"
    table = json.loads(path.read_text())
    del table["checksums"]
    path.write_text(json.dumps(table))
    assert len(list(read_episodes(tmp_path))) == 2 and read_run(tmp_path).checksums is False


def test_a_whole_last_line_with_something_behind_it_is_no_half_line(tmp_path):
    """The end of its line was changed: what a crash leaves is shorter."""
    (tmp_path / "episodes.jsonl").write_text(episode(0).to_json() + "\n" + episode(1).to_json() + "x")
    with pytest.raises(DamagedRunError, match="episodes.jsonl:2 is damaged"):
        list(read_episodes(tmp_path))


@pytest.mark.parametrize("text", [b"[]", b"{}", b"\xff\xfe"])
def test_a_run_that_is_none(tmp_path, text):
    (tmp_path / "run.json").write_bytes(text)
    with pytest.raises(RecordError, match="cannot be read"):
        read_run(tmp_path)


def test_run_changed_by_hand(tmp_path):
    RunFolder(tmp_path / "r", run()).close()
    path = tmp_path / "r" / "run.json"
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(RecordError, match="changed by hand"):
        read_run(tmp_path / "r")


def test_another_configuration_is_refused_with_its_difference(tmp_path):
    folder = RunFolder(tmp_path / "r", run())
    folder.add(episode())
    folder.close()
    with pytest.raises(NotComparableError, match=r"seed: 0 there, 7 now") as caught:
        RunFolder(tmp_path / "r", run(seed=7))
    assert caught.value.exit_code == 4
    assert len(list(read_episodes(tmp_path / "r"))) == 1


def test_fresh_sets_aside_what_is_recorded(tmp_path):
    folder = RunFolder(tmp_path / "r", run())
    folder.add(episode())
    folder.close()
    again = RunFolder(tmp_path / "r", run(seed=7), fresh=True)
    assert not again.done and again.replaced == tmp_path / "r.old1"
    assert len(list(read_episodes(again.replaced))) == 1
    again.close()


def test_episodes_that_ended_in_errors_are_run_again(tmp_path):
    folder = RunFolder(tmp_path / "r", run())
    for each in (episode(0), episode(1, Status.ERROR), episode(2, Status.FAILURE), episode(3, Status.ERROR)):
        folder.add(each)
    keys = [EpisodeKey("object", 3, i) for i in (0, 1, 2)]
    folder.forget_errors(keys)
    kept = [0, 2, 3]  # an error that this command does not ask for stays on record
    assert [key.init_state for key in folder.done] == kept == [e.init_state for e in read_episodes(tmp_path / "r")]
    folder.close()


def test_two_writers_are_one_too_many(tmp_path):
    first = RunFolder(tmp_path / "r", run())
    with pytest.raises(RecordError, match="another vla-bench"):
        RunFolder(tmp_path / "r", run())
    first.close()
    RunFolder(tmp_path / "r", run()).close()


def test_nobody_starts_over_under_a_writer(tmp_path):
    first = RunFolder(tmp_path / "r", run())
    with pytest.raises(RecordError, match="another vla-bench"):
        RunFolder(tmp_path / "r", run(seed=7), fresh=True)
    first.add(episode())
    first.close()
    assert read_run(tmp_path / "r").config["seed"] == 0 and len(list(read_episodes(tmp_path / "r"))) == 1


def test_a_resumed_run_keeps_its_identity(tmp_path):
    RunFolder(tmp_path / "r", run()).close()
    later = dataclasses.replace(run(), created="2027-01-01T00:00:00+00:00")
    folder = RunFolder(tmp_path / "r", later)
    folder.close()
    assert read_run(tmp_path / "r").created == run().created


def planned(*init_states):
    return dataclasses.replace(run(), planned=pack(EpisodeKey("object", 3, i) for i in init_states))


def recorded(path, asked, *episodes):
    """A folder that was asked for `asked`, and in this call recorded these episodes; its run.json."""
    folder = RunFolder(path, asked)
    for each in episodes:
        folder.add(each)
    folder.end(complete=True)
    folder.close()
    return read_run(path)


def test_a_run_is_complete_with_all_that_was_planned(tmp_path, schema):
    path = tmp_path / "r"
    started = recorded(path, planned(0, 1, 2), episode(0))
    assert started.status == "interrupted" and started.missing({episode(0).key}) == [episode(1).key, episode(2).key]
    less = recorded(path, planned(0))
    assert less.status == "interrupted" and less.planned == {"object/3": "0-2"}
    whole = recorded(path, planned(0, 1, 2), episode(1, Status.FAILURE), episode(2))
    assert whole.status == "complete"
    assert recorded(path, planned(1)).status == "complete"
    more = recorded(path, planned(2, 3, 4), episode(3))
    assert more.status == "interrupted" and more.planned == {"object/3": "0-4"}
    schema("run", json.loads((path / "run.json").read_text()))


def test_the_plan_is_on_disk_before_the_first_episode(tmp_path):
    folder = RunFolder(tmp_path / "r", planned(0, 1))
    assert read_run(tmp_path / "r").planned == {"object/3": "0-1"} and read_run(tmp_path / "r").status == "started"
    folder.close()


def test_a_run_from_before_plans_gets_one_when_it_is_resumed(tmp_path):
    path = tmp_path / "r"
    recorded(path, run(), episode(0), episode(5))
    table = json.loads((path / "run.json").read_text())
    del table["planned"]
    (path / "run.json").write_text(json.dumps(table))
    assert read_run(path).planned is None and read_run(path).missing(set()) == []
    assert recorded(path, planned(1), episode(1)).planned == {"object/3": "0-1,5"}


def test_a_folder_stays_one_shard(tmp_path):
    path = tmp_path / "r"

    def shard(number, *init_states):
        return dataclasses.replace(planned(*init_states), shard={"number": number, "whole": {"object/3": "0-3"}})

    assert recorded(path, shard("1/2", 0, 2), episode(0)).status == "interrupted"
    with pytest.raises(NotComparableError, match="holds shard 1/2, not 2/2"):
        RunFolder(path, shard("2/2", 1, 3))
    whole = recorded(path, shard("1/2", 0, 2), episode(2))
    assert whole.status == "complete" and whole.shard["number"] == "1/2" and len(whole.whole_keys) == 4
    everything = recorded(path, planned(0, 1, 2, 3))
    assert everything.shard is None and everything.planned == {"object/3": "0-3"} and everything.status == "interrupted"


def test_a_plan_that_is_none(tmp_path):
    recorded(tmp_path / "r", planned(0))
    path = tmp_path / "r" / "run.json"
    path.write_text(path.read_text().replace('"object/3": "0"', '"object/3": "x"'))
    with pytest.raises(RecordError, match="'x' is not a range"):
        read_run(tmp_path / "r")


def test_actions_are_kept_exactly(tmp_path):
    key = EpisodeKey("object", 3, 0)
    actions = np.random.default_rng(0).uniform(-1, 1, (9, 7))
    write_actions(tmp_path, key, actions)
    assert np.array_equal(read_actions(tmp_path, key), actions)
    with pytest.raises(RecordError, match="no recorded actions"):
        read_actions(tmp_path, EpisodeKey("object", 3, 1))


def test_full_disk_is_one_clear_error_and_loses_nothing(tmp_path):
    """A file-size limit stands in for the full disk: both fail inside write()."""
    append_line(tmp_path / "episodes.jsonl", episode(0).to_json())
    size = (tmp_path / "episodes.jsonl").stat().st_size
    code = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size + 40}, {size + 40}))
from pathlib import Path
from vla_bench.errors import RecordError
from vla_bench.lines import append_line
try:
    append_line(Path({str(tmp_path)!r}) / "episodes.jsonl", "x" * 500)
except RecordError as error:
    print("REFUSED", error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "REFUSED cannot record an episode" in done.stdout and "df -h" in done.stdout, done
    assert (tmp_path / "episodes.jsonl").stat().st_size == size  # not half a line either
    assert [e.init_state for e in read_episodes(tmp_path)] == [0]
