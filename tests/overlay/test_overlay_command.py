"""`vla-bench overlay` of runs that are whole, empty, partial, damaged or of another world: films, words and exit codes."""

from dataclasses import replace

import pytest

from vla_bench.lines import append_line
from vla_bench.overlay import films
from vla_bench.queries import write_queries
from vla_bench.records import EpisodeKey, Status, read_run, write_actions, write_episode, write_run
from vla_bench.rollout.world_setup import WorldSetup
from vla_bench.suites import load_suite
from vla_bench.world.assets import resolve_assets
from vla_bench.world.gl import GL

from ..made_runs import a_run, episode, run
from ..rollout.fakes import Simulators, short_hash
from .made import MODEL, STEPS, SUITE, Drawn, actions, query, simulator


def made_run(folder, outcomes, **config):
    """Episodes of `Drawn`, of init states from 0 up: s, f, or e for an error.  Init state 1 has no recorded actions."""
    folder.mkdir()
    write_run(folder, run(policy=MODEL, **config))
    for number, outcome in enumerate(outcomes):
        key = EpisodeKey("object", 3, number)
        if outcome == "e":
            write_episode(folder, episode(number, Status.ERROR))
            continue
        drawn = simulator()
        drawn.reset(number)
        for action in actions():
            drawn.step(action)
        if number != 1:
            write_actions(folder, key, actions())
        write_queries(folder, key, [query(0, [0, 9], []), query(8, [63], [1])])
        status = Status.SUCCESS if outcome == "s" else Status.FAILURE
        hashes = {"init_hash": short_hash(number), "state_hash": drawn.state_hash}
        write_episode(folder, episode(number, status, steps=STEPS, queries=2, **hashes))
    return folder


@pytest.fixture
def drawn_world(monkeypatch):
    """The simulators that films are made in are `Drawn`."""
    gl = GL("egl", "llvmpipe")
    setup = WorldSetup(None, gl, Simulators({"object": SUITE}, Drawn), {})
    monkeypatch.setattr(films, "world_of", lambda *given: (setup, []))
    monkeypatch.setattr(films, "worker_count", lambda *given: 1)


def stems(folder):
    return sorted(path.name for path in (folder / "videos" / "overlay").glob("*.mp4"))


def test_what_can_be_filmed_is_and_the_rest_is_said(cli, tmp_path, drawn_world):
    folder = made_run(tmp_path / "run", "ssfe")
    before = {path: path.read_bytes() for path in folder.glob("*.json*")}
    done = cli("overlay", str(folder))
    assert stems(folder) == ["object-t3-i00-success.mp4", "object-t3-i02-failure.mp4"]
    assert done.exit_code == 6 and "no recorded actions of episode object-t3-i01" in done.stderr
    assert "object-t3-i03 ended in an error (Crash: SIGSEGV): there is nothing to replay" in done.stderr
    assert "2 films, 18 frames" in done.stderr and done.stdout.count(".png") == 6
    assert {path: path.read_bytes() for path in folder.glob("*.json*")} == before
    named = cli("overlay", str(folder), "--episodes", "object-t3-i03")
    assert named.exit_code == 5 and named.stdout == ""
    failures = cli("overlay", str(folder), "--episodes", "failures", "--out", str(tmp_path / "else"), "--contact-sheet")
    assert failures.exit_code == 0 and (tmp_path / "else" / "object-t3-i02-failure-sheet.png").exists()


def test_films_that_are_there_are_not_made_again_after_a_run(tmp_path, drawn_world):
    folder = made_run(tmp_path / "run", "ses")
    request = films.OverlayRequest(run=folder, anew=False)
    assert films.overlay(replace(request, episodes="object-t3-i00")).films == 1
    assert films.overlay(request).films == 1 and films.overlay(request).films == 0
    assert films.overlay(replace(request, anew=True, episodes="object-t3-i02")).films == 1


def test_a_replay_that_ends_otherwise_is_refused_and_the_others_are_filmed(cli, tmp_path, drawn_world):
    folder = made_run(tmp_path / "run", "se")
    write_episode(folder, episode(2, steps=STEPS, init_hash=short_hash(2)))
    write_actions(folder, EpisodeKey("object", 3, 2), actions())
    done = cli("overlay", str(folder))
    assert done.exit_code == 4 and stems(folder) == ["object-t3-i00-success.mp4"]
    assert "object-t3-i02 ended in another state when it was replayed" in done.stderr


def test_runs_without_an_episode_to_film(cli, tmp_path):
    empty = cli("overlay", str(a_run(tmp_path / "empty", "")))
    assert empty.exit_code == 6 and "has no finished episode" in str(empty.exception)
    nothing = cli("overlay", str(tmp_path / "nowhere"))
    assert nothing.exit_code == 6 and "is not a run folder" in str(nothing.exception)
    folder = made_run(tmp_path / "run", "s")
    unknown = cli("overlay", str(folder), "--episodes", "object-t3-i09")
    assert unknown.exit_code == 2 and 'Did you mean "object-t3-i00"?' in str(unknown.exception)
    assert cli("overlay", str(made_run(tmp_path / "errors", "ee"))).exit_code == 5
    append_line(folder / "queries.jsonl", "{}")
    assert cli("overlay", str(folder)).exit_code == 4


def test_another_world_is_refused_before_anything_is_filmed(cli, tmp_path):
    suites = {"object": load_suite("object").sha256}
    protocol = cli("overlay", str(made_run(tmp_path / "protocol", "s")))
    assert protocol.exit_code == 4 and "another protocol" in str(protocol.exception)
    assets = cli("overlay", str(made_run(tmp_path / "assets", "s", suites=suites)))
    assert assets.exit_code == 4
    assert "ran in another world than this installation is:\n  assets:" in str(assets.exception)
    packages = {"mujoco": "2.0.0", "robosuite": "1.4.0", "hf-libero": "0.1.4"}
    pack = resolve_assets("primitive").identity
    versions = cli("overlay", str(made_run(tmp_path / "versions", "s", suites=suites, assets=pack, packages=packages)))
    assert versions.exit_code == 4 and "packages.mujoco: 2.0.0 there" in str(versions.exception)
    assert not list(tmp_path.rglob("*.mp4"))


def test_planned_episodes_that_have_not_run_are_named(cli, tmp_path, drawn_world):
    folder = made_run(tmp_path / "run", "s")
    write_run(folder, replace(read_run(folder), planned={"object/3": "0-4"}))
    done = cli("overlay", str(folder))
    assert done.exit_code == 0 and "4 planned episodes have not run yet, the first is object-t3-i01" in done.stderr
