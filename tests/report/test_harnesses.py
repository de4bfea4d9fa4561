"""Runs as the result files of other harnesses.  The software that they are for reads them in tests/interop/exports.sh."""

import json
import math
from dataclasses import replace

import pytest

from vla_bench.errors import NotComparableError, UsageError
from vla_bench.planned import pack
from vla_bench.records import EpisodeKey, read_run, write_run
from vla_bench.report.harnesses.files import WRITERS, write_harness_files
from vla_bench.report.harnesses.source_run import source_run, wall_clock_s
from vla_bench.results.summary_file import read_summary, write_summary
from vla_bench.values import Harness

from ..made_runs import episode, with_tasks

ABOUT = {"object": {"libero_name": "libero_object", "horizon": 280, "settle_steps": 10, "env_seed": 0}}
ABOUT |= {"long": {"libero_name": "libero_10", "horizon": 520, "settle_steps": 10, "env_seed": 0}}


@pytest.fixture
def folder(tmp_path):
    """Object 0: 3 of 4 won; object 1: nothing but errors; long 2: 1 of 2 won, and an error."""
    return with_tasks(tmp_path / "run", {("object", 0): "ssfs", ("object", 1): "ee", ("long", 2): "sfe"}, about=ABOUT)


def written(harness, path, **options) -> list[dict]:
    """What the files hold, through JSON."""
    return [json.loads(json.dumps(body, allow_nan=False)) for body in WRITERS[harness](source_run([path], **options)).values()]


def test_lerobot_has_its_keys_and_leaves_errors_out(folder):
    (body,) = written(Harness.LEROBOT, folder)
    own = body.pop("vla_bench")
    assert list(body) == ["per_task", "per_group", "overall"]
    assert [(each["task_group"], each["task_id"]) for each in body["per_task"]] == [
        ("libero_10", 2),
        ("libero_object", 0),
        ("libero_object", 1),
    ]
    assert [each["metrics"]["successes"] for each in body["per_task"]] == [[True, False], [True, True, False, True], []]
    assert body["per_task"][0]["metrics"]["sum_rewards"] == body["per_task"][0]["metrics"]["max_rewards"] == [1.0, 0.0]
    assert body["per_group"]["libero_object"]["pc_success"] == 75 and body["per_group"]["libero_object"]["n_episodes"] == 4
    overall = body["overall"]
    assert overall["pc_success"] == pytest.approx(100 * 4 / 6) and overall["n_episodes"] == 6
    assert overall["avg_sum_reward"] == overall["avg_max_reward"] == pytest.approx(4 / 6)
    assert [each["episode"] for each in own["errors"]] == ["long-t2-i02", "object-t1-i00", "object-t1-i01"]
    assert own["errors"][0]["message"] == "SIGSEGV" and own["rate"]["errors"] == 3


def test_what_no_format_has_a_field_for_is_the_same_in_all(folder):
    (lerobot,), (inspect,) = written(Harness.LEROBOT, folder), written(Harness.INSPECT, folder)
    own = lerobot["vla_bench"]
    assert own == inspect["eval"]["metadata"]
    assert own["model"] == "noop" and own["assets"]["name"] == "primitive" and own["suites"] == ABOUT
    low, high = own["rate"]["interval"]
    assert (own["rate"]["rate"], own["rate"]["n"]) == (pytest.approx(4 / 6), 6) and low < 4 / 6 < high
    assert own["rates"]["libero_10"]["rate"] == 0.5


def test_vla_eval_has_a_file_a_suite_and_errors_without_an_outcome(folder):
    files = WRITERS[Harness.VLA_EVAL](source_run([folder]))
    assert list(files) == ["vla-bench_libero_10_aggregate.json", "vla-bench_libero_object_aggregate.json"]
    ten, own = files.values()
    assert own["mean_success"] == 0.75 and own["num_errors"] == 2 and own["num_episodes_total"] == 6
    first, second = own["tasks"]
    assert (first["mean_success"], first["num_episodes"], first["avg_steps"]) == (0.75, 4, 120) and "num_errors" not in first
    assert second["num_errors"] == 2 and "mean_success" not in second
    assert second["episodes"][1] | {"name": ""} == {
        "episode_id": 1,
        "repeat": 0,
        "steps": 0,
        "elapsed_sec": 3.5,
        "name": "",
        "suite": "object",
        "task_id": 1,
        "task_idx": 1,
        "metrics": {},
        "failure_reason": "Crash",
        "failure_detail": "SIGSEGV",
    }
    assert ten["config"]["params"] == {"suite": "libero_10", "num_steps_wait": 10, "env_seed": 0}
    assert ten["config"]["max_steps"] == 520 and ten["metric_keys"] == {"success": "mean"} and "partial" not in ten
    assert "server_info" not in ten


def test_vla_eval_has_what_a_policy_server_said(tmp_path):
    server = {"name": "smolvla"}
    run = with_tasks(tmp_path / "run", {("object", 0): "s"}, about=ABOUT, config={"policy": {"server": server}})
    (body,) = written(Harness.VLA_EVAL, run)
    assert body["server_info"] == server


def test_inspect_has_a_sample_an_episode_and_stderr_as_inspect_works_it_out(folder):
    (body,) = written(Harness.INSPECT, folder)
    assert body["status"] == "success" and body["version"] == 2 and body["eval"]["model"] == "vla-bench/noop"
    samples = {each["id"]: each for each in body["samples"]}
    assert len(samples) == 9 and samples["object-t0-i02"]["scores"]["success"] == {"value": 0.0, "answer": "failure"}
    failed = samples["object-t1-i00"]
    assert "scores" not in failed and failed["error"]["message"] == "Crash: SIGSEGV"
    (score,) = body["results"]["scores"]
    assert score["metrics"]["mean"]["value"] == pytest.approx(4 / 6)
    assert score["metrics"]["stderr"]["value"] == pytest.approx(math.sqrt(4 / 6 * 2 / 6 * 6 / 5 / 6))
    assert body["results"]["total_samples"] == 9 and body["results"]["completed_samples"] == 6
    assert body["stats"]["started_at"] == "2026-01-01T00:00:00+00:00"


def test_repeats_are_epochs_and_their_mean_is_one_value(tmp_path):
    run = with_tasks(tmp_path / "run", {("object", 0): "sf"}, about=ABOUT)
    again = episode(0, suite="object", task_id=0, task="object_0", repeat=1, state_hash="2" * 16)
    failed = replace(again, status=type(again.status).FAILURE)
    with (run / "episodes.jsonl").open("a") as file:
        file.write(failed.to_json() + "\n")
    (body,) = written(Harness.INSPECT, run)
    assert [(each["id"], each["epoch"]) for each in body["samples"]] == [
        ("object-t0-i00", 1),
        ("object-t0-i00", 2),
        ("object-t0-i01", 1),
    ]
    assert body["results"]["scores"][0]["metrics"]["mean"]["value"] == 0.25 and body["eval"]["config"]["epochs"] == 2
    assert body["eval"]["metadata"]["rate"]["rate"] == 0.25


def test_a_rate_without_an_outcome_is_null_and_no_number(tmp_path):
    run = with_tasks(tmp_path / "run", {("object", 0): "ee"}, about=ABOUT)
    (lerobot,), (vla_eval,), (inspect,) = (written(harness, run) for harness in Harness)
    assert lerobot["overall"]["pc_success"] is None and lerobot["per_group"]["libero_object"]["avg_sum_reward"] is None
    assert "mean_success" not in vla_eval and inspect["results"]["scores"][0]["metrics"] == {}


def test_times_are_left_out_where_a_summary_has_none(folder, tmp_path):
    write_summary(tmp_path / "kept.json", read_summary(folder))
    (lerobot,), (inspect,) = (written(harness, tmp_path / "kept.json") for harness in (Harness.LEROBOT, Harness.INSPECT))
    assert lerobot["overall"]["eval_s"] is None and inspect["stats"] == {} and "started_at" not in inspect["samples"][0]
    assert "elapsed_sec" not in written(Harness.VLA_EVAL, tmp_path / "kept.json")[0]["tasks"][0]["episodes"][0]
    assert lerobot["overall"]["pc_success"] == written(Harness.LEROBOT, folder)[0]["overall"]["pc_success"]


def test_the_seconds_of_several_workers_count_once():
    def at(began, ended):
        return episode(started=f"2026-01-01T00:00:{began:02}+00:00", ended=f"2026-01-01T00:00:{ended:02}+00:00")

    assert wall_clock_s([at(0, 10), at(5, 12), at(6, 7), at(20, 21)]) == 13
    assert wall_clock_s([episode(started="", ended="")]) is None and wall_clock_s([]) is None


def test_films_are_named(folder, tmp_path):
    run = with_tasks(tmp_path / "filmed", {("object", 0): "f"}, about=ABOUT)
    line = episode(1, suite="object", task_id=0, task="object_0", video="videos/object-t0-i01-success.mp4")
    with (run / "episodes.jsonl").open("a") as file:
        file.write(line.to_json() + "\n")
    assert written(Harness.LEROBOT, run)[0]["overall"]["video_paths"] == []  # the file is gone
    film = run / line.video
    film.parent.mkdir()
    film.write_bytes(b"film")
    (lerobot,), (inspect,) = (written(harness, run) for harness in (Harness.LEROBOT, Harness.INSPECT))
    assert lerobot["per_task"][0]["metrics"]["video_paths"] == lerobot["overall"]["video_paths"] == [str(film)]
    assert inspect["samples"][1]["metadata"]["video"] == str(film) and "video" not in inspect["samples"][0]["metadata"]


def test_a_run_that_lacks_episodes_is_refused_or_marked(tmp_path):
    run = with_tasks(tmp_path / "run", {("object", 0): "sf"}, about=ABOUT)
    write_run(run, replace(read_run(run), planned=pack([EpisodeKey("object", 0, i) for i in range(5)])))
    with pytest.raises(NotComparableError, match="lacks 3 planned episodes: object/0: 2-4"):
        source_run([run])
    assert written(Harness.VLA_EVAL, run, partial=True)[0]["partial"] is True
    assert written(Harness.INSPECT, run, partial=True)[0]["status"] == "cancelled"
    assert written(Harness.LEROBOT, run, partial=True)[0]["vla_bench"]["status"] == "interrupted"


@pytest.mark.parametrize("partial", [False, True])
def test_a_run_that_its_outcomes_stopped_is_refused(tmp_path, partial):
    run = with_tasks(tmp_path / "run", {("object", 0): "sf"}, about=ABOUT)
    write_run(run, replace(read_run(run), status="stopped", stop_rule={"base": "b"}, stopped={"pairs": 2, "finding": "lower"}))
    with pytest.raises(NotComparableError, match="was stopped early"):
        source_run([run], partial)


def test_files_that_are_there_are_not_replaced(folder, tmp_path):
    source, out = source_run([folder]), tmp_path / "out"
    (path,) = write_harness_files(Harness.LEROBOT, source, out)
    path.write_text("mine")
    with pytest.raises(UsageError, match="there already") as caught:
        write_harness_files(Harness.LEROBOT, source, out)
    assert path.read_text() == "mine" and "--force" in caught.value.fix
    write_harness_files(Harness.LEROBOT, source, out, force=True)
    assert json.loads(path.read_text())["overall"]["n_episodes"] == 6
    with pytest.raises(UsageError, match="takes a folder"):
        write_harness_files(Harness.LEROBOT, source, path)


def test_the_command(cli, folder):
    done = cli("export", str(folder), "--format", "inspect", "--out", "logs")
    assert done.exit_code == 0 and done.stdout.startswith("logs/2026-01-01T00-00-00+00-00_libero_")
    assert cli("export", str(folder), "--format", "inspect", "--out", "logs").exit_code == 2
    assert cli("export", str(folder), "--format", "inspect", "--out", "logs", "--force").exit_code == 0
    assert cli("export", "nowhere", "--format", "lerobot", "--out", "logs").exit_code == 6


def test_parts_of_one_run_are_one_file(tmp_path):
    parts = [with_tasks(tmp_path / suite, {(suite, 0): "sf"}, about=ABOUT) for suite in ABOUT]
    body = json.loads(json.dumps(WRITERS[Harness.LEROBOT](source_run(parts))))["eval_info.json"]
    assert set(body["per_group"]) == {"libero_object", "libero_10"} and body["overall"]["n_episodes"] == 4
