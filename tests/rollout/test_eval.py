"""`vla-bench eval` from end to end: real simulators, real files, through the command line."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from vla_bench.records import read_episodes, read_run

from ..conftest import ASSETS

TWO = ("--suite", "object", "--tasks", "0", "--assets", ASSETS, "--workers", "2")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory, pack):
    """A finished run of two episodes by the random policy, filmed."""
    folder = tmp_path_factory.mktemp("runs") / "random"
    arguments = [
        "eval",
        *TWO,
        "--model",
        "random",
        "--init-states",
        "3-4",
        "--video",
        "all",
        "--out",
        str(folder),
        "--format",
        "json",
    ]
    done = subprocess.run([sys.executable, "-m", "vla_bench", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, done


def test_json_is_one_object_with_everything_in_it(recorded):
    folder, done = recorded
    result = json.loads(done.stdout)
    assert result["run_dir"] == str(folder)
    assert (result["episodes"], result["successes"], result["failures"], result["errors"]) == (2, 0, 2, 0)
    assert result["rate"] == 0 and result["interval"][0] == 0 and 0.6 < result["interval"][1] < 0.7
    assert result["kept_tokens_mean"] is None is result["visual_tokens"]
    assert result["policy_ms_mean"] > 0 and result["episodes_per_hour"] > 0
    assert result["suites"]["object"]["tasks"]["0"]["failures"] == 2


def test_standard_error_is_the_conversation_and_no_noise(recorded):
    _, done = recorded
    assert f"2 of 2 episodes to run (random, assets {ASSETS}" in done.stderr
    for noise in ("robosuite", "EGLError", "Exception ignored", "Warning", "Traceback"):
        assert noise not in done.stderr + done.stdout


def test_records_fit_their_schemas(recorded, schema):
    folder, _ = recorded
    schema("run", json.loads((folder / "run.json").read_text()))
    for line in (folder / "episodes.jsonl").read_text().splitlines():
        schema("episode", json.loads(line))
    run = read_run(folder)
    assert run.status == "complete" and run.assets["name"] == ASSETS
    assert run.planned == {"object/0": "3-4"}
    assert re.fullmatch("[0-9a-f]{64}", run.config["init_states"]["object"])
    assert run.config["model"] == "random" and run.config["pruner"] is None and run.config["policy"] == {}
    summary = (folder / "summary.md").read_text()
    assert "object | 0 | pick up the alphabet soup" in summary and "tokens" not in summary
    assert not (folder / "queries.jsonl").exists()  # a script has nothing to report


def test_video_and_poster(recorded):
    import imageio.v2 as imageio

    folder, _ = recorded
    for episode in read_episodes(folder):
        reader = imageio.get_reader(folder / episode.video)
        meta = reader.get_meta_data()
        assert meta["codec"] == "h264" and meta["size"] == (512, 256) and meta["fps"] == 10
        assert reader.count_frames() == 1 + episode.steps // 2
        poster = imageio.imread((folder / episode.video).with_suffix(".png"))
        assert poster.shape == (256, 512, 3) and poster.std() > 20  # something is in the picture
        assert episode.video.endswith(f"{episode.key}-failure.mp4")


def test_replay_repeats_the_episodes_bit_for_bit(recorded, cli, tmp_path):
    folder, _ = recorded
    out = tmp_path / "replay"
    done = cli("eval", *TWO, "--model", f"replay:{folder}", "--init-states", "3-4", "--video", "none", "--out", str(out))
    assert done.exit_code == 0, done.output
    hashes = {e.key: e.state_hash for e in read_episodes(folder)}
    assert {e.key: e.state_hash for e in read_episodes(out)} == hashes


def test_the_same_command_again_runs_nothing_and_more_trials_only_the_new_ones(recorded, cli):
    folder, _ = recorded
    before = (folder / "episodes.jsonl").read_bytes()
    same = ("eval", *TWO, "--model", "random", "--video", "all", "--out", str(folder), "--init-states")
    done = cli(*same, "3-4")
    assert done.exit_code == 0 and "0 of 2 episodes to run" in done.stderr
    assert "object" in done.stdout and (folder / "episodes.jsonl").read_bytes() == before


def test_another_configuration_in_the_same_folder(recorded, cli):
    folder, _ = recorded
    done = cli("eval", *TWO, "--model", "random", "--seed", "5", "--out", str(folder))
    assert done.exit_code == 4
    assert "seed: 0 there, 5 now" in str(done.exception) and "--fresh" in str(done.exception)
    done = cli("eval", *TWO, "--model", "random", "--frozen-fixtures", "--out", str(folder))
    assert done.exit_code == 4 and "suites" in str(done.exception)
    assert len(list(read_episodes(folder))) == 2


def test_ctrl_c_finishes_what_is_in_flight_and_says_how_to_go_on(tmp_path, pack):
    folder = tmp_path / "run"
    command = [
        sys.executable,
        "-m",
        "vla_bench",
        "eval",
        *TWO,
        "--model",
        "noop",
        "--trials",
        "50",
        "--video",
        "none",
        "--out",
        str(folder),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    while not (folder / "episodes.jsonl").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
    stdout, stderr = process.communicate(timeout=90)
    assert process.returncode == 130
    episodes = list(read_episodes(folder))
    assert 0 < len(episodes) < 50 and all(e.status.value == "failure" for e in episodes)
    assert read_run(folder).status == "interrupted"
    assert "resume" in stderr and "--trials 50" in stderr and "object" in stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--suite", "lnog"), 2, 'Did you mean "long"'),
        (("--model", "expret"), 2, 'Did you mean "expert"'),
        (("--model", "./no/such/checkpoint"), 2, 'no folder "./no/such/checkpoint"'),
        (("--model", "expert", "--pruner", "lightvla"), 2, "expert has no image tokens to prune"),
        (("--model", "lightvla", "--decoding", "beam"), 2, "--decoding"),
        (("--suite", "object", "--tasks", "10"), 2, "outside 0-9"),
        (("--suite", "object", "--tasks", "pick up the milk"), 2, 'Did you mean "pick up the milk and place it in the basket"'),
        (("--suite", "object", "--init-states", "x"), 2, "neither a number nor a range"),
        (("--trials", "0"), 2, "at least 1"),
        (("--trials", "5", "--init-states", "3"), 2, "give one of them"),
        (("--workers", "none"), 2, "--workers takes"),
        (("--address", "10.0.0.1:6379"), 2, "--engine ray --address 10.0.0.1:6379"),
        (("--engine", "ray", "--model", "noop", "--dry-run"), 2, "--dry-run asks no cluster"),
        (("--engine", "ray", "--model", "noop", "--address", "head"), 2, '"head" is no address of a ray cluster'),
        (("--engine", "ray", "--model", "noop", "--address", "127.0.0.1:1"), 6, "no ray cluster answers at 127.0.0.1:1"),
        (("--engine", "ray", "--model", "auto"), 2, "chooses by what this machine has"),
        (("--engine", "ray", "--model", "noop", "--workers", "0"), 2, "--workers takes"),
        (("--assets", "nowhere/at/all"), 6, "no asset pack"),
        (("--model", "replay:nowhere"), 6, "holds no recorded actions"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(cli, tmp_path, arguments, code, message):
    done = cli("eval", *arguments)
    assert done.exit_code == code and message in str(done.exception) + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_damaged_init_states_show_before_the_first_episode(cli, monkeypatch, tmp_path):
    from vla_bench.rollout import world_setup

    path = tmp_path / "cut.pruned_init"
    path.write_bytes(b"PK")
    monkeypatch.setattr(world_setup, "init_states_file", lambda suite, task: path)
    done = cli("eval", *TWO, "--model", "noop", "--out", str(tmp_path / "run"))
    assert done.exit_code == 6 and "damaged" in str(done.exception) and "pip install" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_no_opengl_is_one_clear_error(monkeypatch, cli):
    from vla_bench.world.gl import choose_gl

    choose_gl.cache_clear()
    monkeypatch.setenv("MUJOCO_GL", "glx")  # needs a display
    monkeypatch.delenv("DISPLAY", raising=False)
    try:
        done = cli("eval", *TWO, "--model", "noop")
    finally:
        choose_gl.cache_clear()
    assert done.exit_code == 6
    assert "no OpenGL" in str(done.exception) and "apt-get install" in str(done.exception)
