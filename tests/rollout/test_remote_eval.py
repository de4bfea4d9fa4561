"""`vla-bench eval --model ws://HOST:PORT` against the server of vla-eval itself, with a policy of a few lines."""

from __future__ import annotations

import contextlib
import json
import threading

import anyio
import numpy as np
import pytest
from vla_eval.model_servers.predict import PredictModelServer
from vla_eval.model_servers.serve import serve_async

from vla_bench.model.normalisation import proprio_state
from vla_bench.records import Status, read_actions, read_episodes, read_run
from vla_bench.rollout import world_setup
from vla_bench.suites import load_suite, suites_dir
from vla_bench.world.env import World
from vla_bench.world.observation import Sight

from ..conftest import ASSETS
from .fakes import make_fake

CHUNK, HORIZON = 8, 16
EVAL = ("eval", "--suite", "short", "--tasks", "0", "--assets", ASSETS, "--video", "none", "--out", "run")


class Dummy(PredictModelServer):
    """Moves by what it sees, keeps what it saw, and fails with `breaks` where the second chunk of init state 1 is due."""

    def __init__(self, params, breaks=None):
        super().__init__(chunk_size=CHUNK)
        self.params, self.breaks, self.seen, self.started, self.ended = params, breaks, [], [], []

    def get_observation_params(self):
        return self.params

    async def on_episode_start(self, config, ctx):
        await super().on_episode_start(config, ctx)
        ctx.task = config["task"]
        self.started.append(config["task"])

    async def on_episode_end(self, result, ctx):
        await super().on_episode_end(result, ctx)
        self.ended.append(ctx.task["episode_idx"])

    def predict(self, obs, ctx):
        number = ctx.task["episode_idx"]
        self.seen.append((number, ctx.step, obs))
        if self.breaks and number == 1 and ctx.step:
            raise RuntimeError(self.breaks)
        actions = np.tile([0.1, 0, 0, 0, 0, 0, -0.4], (CHUNK, 1))
        actions[:, 1] = obs["images"]["agentview"].mean() / 500
        return {"actions": actions}


@contextlib.contextmanager
def served(policy, port=0, stop=None):
    """The address of vla-eval's own server of `policy`.  stop: an Event with which it ends."""
    ports, started, stop = [], threading.Event(), stop or threading.Event()

    async def run():
        async with anyio.create_task_group() as group:
            ports.append(await group.start(serve_async, policy, "127.0.0.1", port))
            started.set()
            while not stop.is_set():
                await anyio.sleep(0.05)
            group.cancel_scope.cancel()

    thread = threading.Thread(target=anyio.run, args=(run,))
    thread.start()
    try:
        assert started.wait(10)
        yield f"ws://127.0.0.1:{ports[0]}"
    finally:
        stop.set()
        thread.join()


@pytest.fixture
def short(tmp_path, monkeypatch):
    """A suite like Object, with episodes of two chunks."""
    text = (suites_dir() / "object.toml").read_text()
    folder = tmp_path / "suites"
    folder.mkdir()
    text = text.replace('name = "object"', 'name = "short"', 1).replace("horizon = 280", f"horizon = {HORIZON}")
    (folder / "short.toml").write_text(text)
    monkeypatch.setenv("VLA_BENCH_SUITES", str(folder))
    return load_suite("short")


def test_two_episodes_with_a_full_observation_for_each_chunk(short, cli, pack, tmp_path):
    policy = Dummy({"send_wrist_image": True, "send_state": True, "quat_no_antipodal": True})
    with served(policy) as address:
        done = cli(*EVAL, "--model", address, "--init-states", "0-1", "--workers", "2", "--chunk", str(CHUNK), "--format", "json")
    assert done.exit_code == 0, done.output
    episodes = {episode.init_state: episode for episode in read_episodes(tmp_path / "run")}
    assert [episode.status for episode in episodes.values()] == [Status.FAILURE] * 2
    assert sorted((number, step) for number, step, _ in policy.seen) == [(0, 0), (0, CHUNK), (1, 0), (1, CHUNK)]
    assert {task["suite"] for task in policy.started} == {"libero_object"} and len(policy.started) == len(policy.ended) == 2
    own = read_run(tmp_path / "run").config["policy"]
    assert own["weights"] == "unknown" and own["server"]["model_server"] == "Dummy" and own["chunk"] == CHUNK

    world = World(short, pack)  # what it saw is what is there
    world.start(short.task(0))
    for init_state in (0, 1):
        actions = read_actions(tmp_path / "run", episodes[init_state].key)
        there = {0: world.reset(init_state, Sight.IMAGES)}
        for action in actions[:CHUNK]:
            _, there[CHUNK] = world.step(action, Sight.IMAGES)
        for number, step, seen in policy.seen:
            if number == init_state:
                now = there[step]
                assert seen["task_description"] == now.instruction
                assert np.array_equal(seen["states"], proprio_state(now.eef_pos, now.eef_quat, now.gripper_qpos))
                for name, camera in zip(("agentview", "wrist"), short.cameras, strict=True):
                    assert seen["images"][name].shape == (256, 256, 3)
                    assert np.array_equal(seen["images"][name], now.images[camera][::-1, ::-1])
        assert (actions[:, 6] == -1).all() and np.allclose(actions[0, 1], there[0].images[short.cameras[0]].mean() / 500)
    world.close()


def test_an_exception_of_the_server_is_an_error_here_and_no_failure(short, cli, tmp_path, monkeypatch):
    monkeypatch.setattr(world_setup, "make_simulator", make_fake)
    with served(Dummy({}, breaks="the model broke")) as address:
        done = cli(*EVAL, "--model", address, "--init-states", "0-1", "--workers", "1", "--format", "json")
    result = json.loads(done.stdout)
    assert (result["failures"], result["errors"], done.exit_code) == (1, 1, 5)
    ended = {episode.init_state: episode for episode in read_episodes(tmp_path / "run")}
    assert ended[1].status is Status.ERROR and ended[1].attempts == 2
    assert "observation_failed: RuntimeError: the model broke" in ended[1].error["message"]


def test_a_server_that_is_gone_stops_the_run_which_its_command_resumes(short, cli, tmp_path, monkeypatch):
    monkeypatch.setattr(world_setup, "make_simulator", make_fake)
    stop, policy = threading.Event(), Dummy({})
    predict, whole = policy.predict, []

    def last(obs, ctx):
        if len(policy.ended) >= 2 and not stop.is_set():
            whole.extend(policy.ended)
            stop.set()
        return predict(obs, ctx)

    policy.predict = last
    with served(policy, stop=stop) as address:
        arguments = (*EVAL, "--model", address, "--init-states", "0-7", "--workers", "2")
        done = cli(*arguments)
    assert done.exit_code == 5 and "with one cause: WireError" in done.stderr and "\nresume " in done.stderr
    ended = [episode.init_state for episode in read_episodes(tmp_path / "run") if episode.status is Status.FAILURE]
    assert len(whole) >= 2 and set(whole) <= set(ended) and len(ended) < 8
    with served(Dummy({}), port=int(address.rpartition(":")[2])):
        assert cli(*arguments).exit_code == 0
    assert {episode.status for episode in read_episodes(tmp_path / "run")} == {Status.FAILURE}


def test_a_wish_that_is_not_known_is_refused_before_anything_runs(short, cli, tmp_path):
    with served(Dummy({"send_depth": True})) as address:
        done = cli(*EVAL, "--model", address, "--init-states", "0")
    assert done.exit_code == 2 and "send_depth = True, which is not known here" in str(done.exception)
    assert not (tmp_path / "run").exists()


def test_options_that_a_server_would_not_hear_of_are_refused(short, cli):
    for option, value in (("--pruner", "fastv"), ("--seed", "3"), ("--unnorm-key", "x"), ("--device", "cuda")):
        done = cli(*EVAL, "--model", "ws://127.0.0.1:9", option, value)
        assert done.exit_code == 2 and option in str(done.exception)
