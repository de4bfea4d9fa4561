"""The local engine on a fake simulator, and on LIBERO's where that matters; what holds for every engine is in test_engines.py."""

import asyncio
import dataclasses
from functools import partial

import numpy as np
import pytest

from vla_bench.errors import RecordError
from vla_bench.policies.simple import NoopPolicy
from vla_bench.records import EpisodeKey
from vla_bench.rollout.engine import LocalEngine
from vla_bench.rollout.episode import EpisodeRunner, Outcome, run_episode
from vla_bench.rollout.pool import Finished, Retried, Started
from vla_bench.rollout.ray_actors import PolicyReplica
from vla_bench.rollout.worker import Simulators
from vla_bench.suites import load_suite
from vla_bench.world.gl import choose_gl
from vla_bench.world.observation import Sight
from vla_bench.world.protocol import make_simulator

from .fakes import HORIZON, SUITE, FakeSimulator, Wilful, simulators

EPISODES = [EpisodeKey("object", task, i) for task in (0, 1) for i in range(3)]


def play(policy, simulators, episodes=EPISODES, workers=2, on_event=lambda event, engine: None, **more):
    """Run episodes: whether all were finished, and the events."""
    events = []

    def record(event):
        events.append(event)
        on_event(event, engine)

    engine = LocalEngine(policy, simulators, workers=workers, on_event=record, **more)
    return engine.run(episodes), events


@pytest.fixture
def libero(pack):
    """LIBERO's simulators of a shortened Object suite."""
    suite = dataclasses.replace(load_suite("object"), horizon=HORIZON)
    return Simulators({"object": suite}, partial(make_simulator, assets=pack), choose_gl().environment())


def results(events):
    finished = [e for e in events if isinstance(e, Finished)]
    assert len({e.attempt.episode for e in finished}) == len(finished)
    return {e.attempt.episode: e.result for e in finished}


def test_another_process_ends_in_the_same_state(libero):
    """LIBERO's simulator: bit for bit, whatever its worker simulated before."""
    complete, events = play(NoopPolicy(), libero, workers=1)
    _, again = play(NoopPolicy(), libero, workers=2, recycle=2)
    assert complete and len({e.pid for e in again if isinstance(e, Started)}) >= 3
    hashes = {key: outcome.state_hash for key, outcome in results(events).items()}
    assert {key: outcome.state_hash for key, outcome in results(again).items()} == hashes
    assert len(set(hashes.values())) == len(EPISODES)


def test_images_are_rendered_at_queries_only():
    seen = []

    class Watched(FakeSimulator):
        def observe(self, sight):
            seen.append(sight)
            return super().observe(sight)

    simulator = Watched(SUITE)
    simulator.start(SUITE.task(0))
    success, actions = run_episode(simulator, EPISODES[0], Sight.IMAGES, lambda observation: np.zeros((5, 7)))
    assert not success and len(actions) == HORIZON
    assert [step for step, sight in enumerate(seen) if sight is Sight.IMAGES] == [0, 5, 10, 15]


class TooFew(NoopPolicy):
    def act(self, observations):
        return []


def test_a_policy_returns_a_chunk_for_every_observation():
    _, events = play(TooFew(), simulators(), EPISODES[:1])
    assert "returned 0 chunks for 1 observations" in results(events)[EPISODES[0]].message


def test_a_failure_that_cannot_be_filmed_stays_a_failure(tmp_path):
    (tmp_path / "videos").write_text("a file where a folder must be")
    _, events = play(NoopPolicy(), simulators(), EPISODES[:1], video="failures", video_folder=tmp_path / "videos")
    result = results(events)[EPISODES[0]]
    assert isinstance(result, Outcome) and not result.success and result.video is None
    assert result.video_error.type == "FileExistsError" and not any(isinstance(e, Retried) for e in events)


def test_a_second_simulator_is_filmed_as_well(tmp_path):
    simulator = FakeSimulator(SUITE)
    runner = EpisodeRunner(Sight.STATE, None, "all", tmp_path)
    outcome = runner.run(simulator, EPISODES[0], lambda observation: np.zeros((8, 7)))
    assert outcome.video == f"{EPISODES[0]}-failure.mp4" and (tmp_path / outcome.video).stat().st_size > 0


def test_a_stop_that_came_too_late_leaves_nothing_out():
    complete, events = play(NoopPolicy(), simulators(), EPISODES[:1], on_event=lambda event, engine: engine.stop())
    assert complete and set(results(events)) == {EPISODES[0]}


class Ends(Wilful):
    """Wilful, and remembers what it was told of ends."""

    def __init__(self):
        super().__init__()
        self.ended = []

    def end(self, episode, success):
        self.ended.append((episode.init_state, success))

    def answer(self, observation, chunk):
        if observation.episode.init_state == 15:
            return RecordError("this one alone")
        return super().answer(observation, chunk)


def test_a_policy_is_told_how_every_attempt_ended():
    policy = Ends()
    play(policy, simulators(), [EpisodeKey("object", 0, i) for i in (0, 11, 12)], workers=1)
    assert sorted(policy.ended, key=str) == [(0, False), (11, None), (11, None), (12, True)]


def test_an_error_that_a_policy_returns_ends_that_episode_alone():
    _, events = play(Ends(), simulators(), [EpisodeKey("object", 0, i) for i in (15, 16)])
    ended = results(events)
    assert ended["object", 0, 15, 0].message == "policy noop: this one alone"
    assert isinstance(ended["object", 0, 16, 0], Outcome)


def test_a_replica_ends_the_attempt_that_it_answers_and_no_earlier_one():
    async def attempts():
        policy = Ends()
        replica = PolicyReplica(lambda: policy)
        await replica.prepare()
        await replica.begin(EPISODES[0], 2)
        await replica.end(EPISODES[0], 1, None)
        assert policy.ended == []
        await replica.end(EPISODES[0], 2, True)
        return policy.ended

    assert asyncio.run(attempts()) == [(0, True)]
