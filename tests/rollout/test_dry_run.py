"""`vla-bench eval --dry-run` and `vla-bench noise`, through the command line."""

import json
from dataclasses import replace

import pytest

from vla_bench.records import Status, config_hash, read_episodes, read_run, write_run
from vla_bench.results.noise import read_noise
from vla_bench.rollout import evaluate as evaluate_module
from vla_bench.rollout import world_setup
from vla_bench.rollout.rates import estimate

from ..made_runs import a_run
from .fakes import make_fake

FEW = ("--suite", "object", "--tasks", "0-1", "--assets", "primitive")


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(world_setup, "make_simulator", make_fake)


def dry(cli, *arguments):
    done = cli("eval", *FEW, *map(str, arguments), "--dry-run", "--format", "json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_it_says_what_would_run_and_runs_nothing(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluate_module, "LocalEngine", lambda *_: pytest.fail("a simulator was started"))
    found = dry(cli, "--model", "nano", "--trials", "30", "--workers", "2")
    assert list(tmp_path.iterdir()) == []
    assert found["episodes"] == {"object": 60} and found["workers"] == 2 and found["time"] is None
    assert found["out"] == f"results/runs/nano-object-primitive-{found['config_hash'][:8]}"
    drops = [each["drop"] for each in found["visible"]]
    assert 0.05 < drops[0] < drops[1] < 0.2
    done = cli("eval", *FEW, "--model", "noop", "--trials", "30", "--dry-run")
    assert done.exit_code == 0 and "unknown: no run on this machine yet" in done.stdout


def test_weights_of_the_hub_are_not_downloaded(cli, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("a download"))
    found = dry(cli, "--model", "lightvla", "--trials", "1")
    assert found["config_hash"] is found["out"] is None and "does not download" in found["why"]


def test_after_a_run_it_knows_the_time_and_what_is_left(cli, tmp_path):
    done = cli("eval", *FEW, "--model", "noop", "--trials", "1", "--workers", "1", "--video", "none")
    assert done.exit_code == 0, done.output
    (folder,) = (tmp_path / "results" / "runs").iterdir()
    found = dry(cli, "--model", "noop", "--trials", "3", "--workers", "2")
    assert found["recorded"] == 2 and str(tmp_path / found["out"]) == str(folder)
    assert found["config_hash"] == config_hash(read_run(folder).config)
    spent = sum(episode.wall_s for episode in read_episodes(folder))  # of two episodes; four are left, two at a time
    assert found["time"]["seconds"] == pytest.approx(spent) and "2 episodes of noop" in found["time"]["source"]
    other = cli("eval", *FEW, "--model", "random", "--out", str(folder), "--dry-run")
    assert other.exit_code == 4 and "'noop' there, 'random' now" in str(other.exception)


def test_a_run_that_stops_early_is_told_what_it_can_show(cli, tmp_path):
    base = tmp_path / "base"
    assert cli("eval", *FEW, "--model", "noop", "--trials", "2", "--workers", "1", "--out", str(base)).exit_code == 0
    stop = ("--against", str(base), "--stop-early", "--must-see", "60")
    done = cli("eval", *FEW, "--model", "noop", "--trials", "2", *stop, "--dry-run")
    assert "takes 5 pairs at the least, and with 4 it cannot pass" in done.stdout
    assert cli("eval", *FEW, "--model", "noop", "--trials", "3", *stop, "--dry-run").exit_code == 4


def test_the_runs_most_like_it_say_how_long_it_takes(tmp_path):
    what = {"pruner": None, "assets": "primitive", "scripted": False, "horizons": {"object": 280, "long": 560}, "workers": 2}
    keys = [episode.key for episode in read_episodes(here(a_run(tmp_path / "fast", "sff", model="nano", pruner="fastv")))]
    here(a_run(tmp_path / "other", "ss", model="else", policy={"checkpoint": "0"}))
    found = estimate(tmp_path, model="nano", episodes=keys, **what)
    assert found.seconds == 3 * 3.5 / 2 and found.source.startswith("3 episodes of nano with another pruner")
    longer = [key._replace(suite="long") for key in keys]
    by_step = estimate(tmp_path, model="nano", episodes=longer, **what)
    assert by_step.seconds == pytest.approx(2 * found.seconds)
    assert estimate(tmp_path, model="third", episodes=keys, **what).source.startswith("2 episodes of other models")
    scripts = estimate(tmp_path, model="third", episodes=keys, **what | {"scripted": True})
    assert scripts.source.startswith("3 episodes of other scripts")  # without a checkpoint
    assert estimate(tmp_path, model="nano", episodes=keys, **what | {"assets": "official"}) is None
    here(tmp_path / "fast", cpu="another")
    assert estimate(tmp_path, model="nano", episodes=keys, **what).source.startswith("2 episodes of other models")


def here(folder, **machine):
    """As if the run were of this machine, or of another."""
    from vla_bench.environment import describe

    run = read_run(folder)
    run.environment = describe() | machine
    write_run(folder, run)
    return folder


def test_noise_is_two_runs_of_one_policy(cli, tmp_path, monkeypatch):
    done = cli("noise", *FEW, "--model", "noop", "--trials", "1", "--workers", "1", "--format", "json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["total"]["pairs"] == found["total"]["same"] == 2 and found["total"]["flips"] == 0
    first, again = sorted((tmp_path / "results" / "runs").iterdir(), key=lambda folder: len(folder.name))
    assert again.name == f"{first.name}-again" and read_run(first).config == read_run(again).config
    (file,) = (tmp_path / "results" / "noise").iterdir()
    assert file.stem == first.name and read_noise(file).total.pairs == 2
    same = cli("eval", *FEW, "--model", "noop", "--trials", "1")
    assert "0 of 2 episodes to run" in same.stderr  # the first run is an ordinary one

    one, other = read_episodes(again)
    flipped = replace(one, status=Status.SUCCESS)
    (again / "episodes.jsonl").write_text("".join(each.to_json() + "\n" for each in (flipped, other)))
    table = cli("noise", *FEW, "--model", "noop", "--trials", "1", "--out", str(tmp_path / "noise.json"))
    assert table.exit_code == 0 and read_noise(tmp_path / "noise.json").flipped == [str(flipped.key)]
    assert "50.0" in table.stdout and "written to" in table.stderr
