"""The engine: policies that fail, return invalid chunks or have state, on a fake simulator; and LIBERO's where that matters."""

import dataclasses
from functools import partial

import numpy as np
import pytest

from vla_bench.policies.base import Chunk
from vla_bench.policies.simple import NoopPolicy
from vla_bench.records import EpisodeKey
from vla_bench.rollout.engine import Engine
from vla_bench.rollout.episode import EpisodeRunner, Outcome, run_episode
from vla_bench.rollout.pool import Finished, Retried, Started
from vla_bench.rollout.worker import Simulators
from vla_bench.suites import load_suite
from vla_bench.world.gl import choose_gl
from vla_bench.world.observation import Sight
from vla_bench.world.protocol import make_simulator

from .fakes import HORIZON, SUITE, FakeSimulator, short_hash, simulators

EPISODES = [EpisodeKey("object", task, i) for task in (0, 1) for i in range(3)]


def play(policy, simulators, episodes=EPISODES, workers=2, on_event=lambda event, engine: None, **more):
    """Run episodes: whether all were finished, and the events."""
    events = []

    def record(event):
        events.append(event)
        on_event(event, engine)

    engine = Engine(policy, simulators, workers=workers, on_event=record, **more)
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


def test_every_episode_runs_once():
    complete, events = play(NoopPolicy(), simulators())
    found = results(events)
    assert complete and set(found) == set(EPISODES)
    for key, outcome in found.items():
        assert isinstance(outcome, Outcome) and not outcome.success and outcome.video is None
        assert outcome.actions.tolist() == [[0, 0, 0, 0, 0, 0, -1]] * HORIZON
        assert outcome.init_hash == short_hash(key.init_state)
        assert outcome.state_hash == short_hash([key.task_id, *[float(key.init_state)] * 6, key.init_state - 16.0])
    (steps,) = {tuple(query.step for query in e.attempt.queries) for e in events if isinstance(e, Finished)}
    assert steps == (0, 8)


def test_another_process_ends_in_the_same_state(libero):
    """LIBERO's simulator: bit for bit, whatever its worker simulated before."""
    complete, events = play(NoopPolicy(), libero, workers=1)
    _, again = play(NoopPolicy(), libero, workers=2, recycle=2)
    assert complete and len({e.pid for e in again if isinstance(e, Started)}) >= 3
    hashes = {key: outcome.state_hash for key, outcome in results(events).items()}
    assert {key: outcome.state_hash for key, outcome in results(again).items()} == hashes
    assert len(set(hashes.values())) == len(EPISODES)


class Closing(NoopPolicy):
    """Closes the gripper in the third action of an episode; checks the size of the images that it receives."""

    sight = Sight.IMAGES
    image_size = 24

    def act(self, observations):
        assert {image.shape for o in observations for image in o.images.values()} == {(24, 24, 3)}
        chunks = super().act(observations)
        for chunk in chunks:
            chunk.actions[2, 6] = 1.0
        return chunks


def test_an_episode_ends_where_the_goal_holds():
    _, events = play(Closing(), simulators(), EPISODES[:1])
    (outcome,) = results(events).values()
    assert outcome.success and len(outcome.actions) == 3


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


def test_an_exception_in_the_simulator_is_an_error_with_its_cause():
    missing = EpisodeKey("object", 0, 99)  # no such init state
    _, events = play(NoopPolicy(), simulators(), [missing, EPISODES[0]], workers=1)
    found = results(events)
    assert found[missing].type == "WorldError" and "no init state 99" in found[missing].message
    assert "Traceback" in found[missing].trace
    assert isinstance(found[EPISODES[0]], Outcome)


class Faulty(NoopPolicy):
    """Fails for one episode of the batch and returns an invalid chunk for another."""

    def act(self, observations):
        if any(o.episode == EPISODES[0] for o in observations):
            raise ZeroDivisionError("cannot act here")
        still = super().act(observations)
        return [
            Chunk(np.full((1, 7), np.nan)) if o.episode == EPISODES[1] else c for o, c in zip(observations, still, strict=True)
        ]


def test_a_failing_policy_ends_its_own_episodes_only():
    _, events = play(Faulty(), simulators(), EPISODES[:4])
    found = results(events)
    assert "policy noop: cannot act here" in found[EPISODES[0]].message and "ZeroDivisionError" in found[EPISODES[0]].trace
    assert "not finite" in found[EPISODES[1]].message
    assert all(isinstance(found[key], Outcome) for key in EPISODES[2:4])


class Counting(NoopPolicy):
    """Turns in proportion to the queries of the episode, and fails at the second query of one of them."""

    def __init__(self):
        self.queries = {}

    def reset(self, episode):
        self.queries[episode] = 0

    def act(self, observations):
        chunks = super().act(observations)
        for o, chunk in zip(observations, chunks, strict=True):
            self.queries[o.episode] += 1
            chunk.actions[:, 3] = self.queries[o.episode] / 100
            if o.episode == EPISODES[3] and self.queries[o.episode] == 2:
                raise KeyError("lost the thread")
        return chunks


def test_a_failure_beside_it_does_not_change_an_episode():
    _, events = play(Counting(), simulators(), EPISODES[2:4])
    found = results(events)
    assert "lost the thread" in found[EPISODES[3]].message
    assert found[EPISODES[2]].actions[:, 3].tolist() == [0.01] * 8 + [0.02] * 8


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


def test_a_stop_finishes_what_is_in_flight():
    complete, events = play(
        NoopPolicy(), simulators(), on_event=lambda event, engine: isinstance(event, Started) and engine.stop()
    )
    started = {e.attempt.episode for e in events if isinstance(e, Started)}
    assert not complete and started == set(results(events)) and len(started) < len(EPISODES)
