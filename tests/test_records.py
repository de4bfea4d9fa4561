import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from vla_bench.errors import NotComparableError, RecordError
from vla_bench.records import Episode, EpisodeKey, Status, append_line, read_actions, read_episodes, read_run, write_actions
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


def test_lines_from_before_models_reported_are_still_read(schema, tmp_path):
    new = {"kept_tokens_min", "kept_tokens_max", "kept_tokens_by_camera", "preprocess_ms_mean", "model_ms_mean", "gflops_mean"}
    old = {k: v for k, v in json.loads(episode().to_json()).items() if k not in new}
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
    with open(path, "a") as file:
        file.write(episode(1).to_json()[:57])  # the machine stopped here
    append_line(path, episode(2).to_json())
    assert [e.init_state for e in read_episodes(tmp_path)] == [0, 2]


def test_an_episode_counts_once(tmp_path):
    for _ in range(2):
        append_line(tmp_path / "episodes.jsonl", episode(4).to_json())
    assert len(list(read_episodes(tmp_path))) == 1


@pytest.mark.parametrize("line", ['{"suite": "object"}', "[]", "3"])
def test_whole_lines_that_are_no_episodes_are_an_error(tmp_path, line):
    append_line(tmp_path / "episodes.jsonl", line)
    with pytest.raises(RecordError, match=r"episodes.jsonl:1"):
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
from vla_bench.records import append_line
try:
    append_line(Path({str(tmp_path)!r}) / "episodes.jsonl", "x" * 500)
except RecordError as error:
    print("REFUSED", error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "REFUSED cannot record an episode" in done.stdout and "df -h" in done.stdout, done
    assert [e.init_state for e in read_episodes(tmp_path)] == [0]
