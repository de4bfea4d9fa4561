"""Real worker processes that crash, hang and fail for real: signals from outside, never a switch inside."""

import multiprocessing
import os
import signal
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest

from vla_bench.policies.base import Chunk
from vla_bench.policies.simple import Noop
from vla_bench.records import EpisodeKey
from vla_bench.rollout.engine import Engine, Finished, Retried, Started, _read
from vla_bench.rollout.worker import Outcome, Settings, Trouble
from vla_bench.suites import load_suite
from vla_bench.world.gl import choose_gl
from vla_bench.world.observation import Sight

EPISODES = [EpisodeKey("object", task, i) for task in (0, 1) for i in range(3)]


@pytest.fixture
def run(primitive):
    """Run episodes of a shortened Object suite; returns the events."""
    import dataclasses

    suite = dataclasses.replace(load_suite("object"), horizon=16)
    settings = Settings({"object": suite}, primitive, choose_gl().environment(), Sight.STATE)

    def run(policy, episodes=EPISODES, workers=2, on_event=lambda event, engine: None, **more):
        events = []

        def record(event):
            events.append(event)
            on_event(event, engine)

        engine = Engine(policy, settings, workers, record, **more)
        complete = engine.run(episodes)
        return complete, events

    return run


def results(events):
    finished = [e for e in events if isinstance(e, Finished)]
    assert len({e.attempt.episode for e in finished}) == len(finished)
    return {e.attempt.episode: e.result for e in finished}


def test_every_episode_runs_once(run):
    complete, events = run(Noop())
    found = results(events)
    assert complete and set(found) == set(EPISODES)
    assert all(isinstance(r, Outcome) and len(r.actions) == 16 and not r.success for r in found.values())
    assert len({r.state_hash for r in found.values()}) == len(EPISODES)


def test_workers_are_recycled_and_results_do_not_notice(run):
    _, events = run(Noop(), workers=1)
    _, again = run(Noop(), workers=1, recycle=2)
    assert len({e.pid for e in again if isinstance(e, Started)}) == 3
    assert {k: r.state_hash for k, r in results(events).items()} == {k: r.state_hash for k, r in results(again).items()}


def test_segfault_and_hang_become_errors_and_the_run_completes(run):
    """SIGSEGV kills one episode's worker at each attempt, SIGSTOP freezes another's."""
    crash, hang = EPISODES[1], EPISODES[4]

    def strike(event, engine):
        if isinstance(event, Started) and event.episode in (crash, hang):
            os.kill(event.pid, signal.SIGSEGV if event.episode == crash else signal.SIGSTOP)

    complete, events = run(Noop(), on_event=strike, hang_s=20)
    found = results(events)
    assert complete and set(found) == set(EPISODES)
    assert found[crash] == Trouble("Crash", "the simulator process died: SIGSEGV", "")
    assert found[hang].type == "Hang" and "20 s" in found[hang].message
    assert {e.attempt.episode for e in events if isinstance(e, Retried)} == {crash, hang}
    assert sum(isinstance(r, Outcome) for r in found.values()) == len(EPISODES) - 2


def test_an_error_is_tried_once_more_in_a_fresh_worker(run):
    victim, pids = EPISODES[0], []

    def strike(event, engine):
        if isinstance(event, Started) and event.episode == victim:
            pids.append(event.pid)
            if len(pids) == 1:
                os.kill(event.pid, signal.SIGKILL)

    _, events = run(Noop(), episodes=EPISODES[:2], on_event=strike)
    (again,) = [e for e in events if isinstance(e, Finished) and e.attempt.episode == victim]
    assert isinstance(again.result, Outcome) and again.attempt.number == 2
    assert len(set(pids)) == 2


def test_an_exception_in_the_simulator_is_an_error_with_its_cause(run):
    missing = EpisodeKey("object", 0, 99)  # no such init state
    _, events = run(Noop(), episodes=[missing, EPISODES[0]], workers=1)
    found = results(events)
    assert found[missing].type == "WorldError" and "no init state 99" in found[missing].message
    assert "Traceback" in found[missing].trace
    assert isinstance(found[EPISODES[0]], Outcome)


class Faulty(Noop):
    """Fails for one episode of the batch and answers nonsense for another."""

    def act(self, observations):
        if any(o.episode == EPISODES[0] for o in observations):
            raise ZeroDivisionError("cannot act here")
        still = super().act(observations)
        return [
            Chunk(np.full((1, 7), np.nan)) if o.episode == EPISODES[1] else c for o, c in zip(observations, still, strict=True)
        ]


def test_a_failing_policy_spoils_its_own_episodes_only(run):
    _, events = run(Faulty(), episodes=EPISODES[:4])
    found = results(events)
    assert "cannot act here" in found[EPISODES[0]].message and "ZeroDivisionError" in found[EPISODES[0]].trace
    assert "not finite" in found[EPISODES[1]].message
    assert all(isinstance(found[key], Outcome) for key in EPISODES[2:4])


class Remembering(Noop):
    """Turns by as much as it has been asked in the episode, and cannot answer for one of them once it has begun."""

    def __init__(self):
        self.asked = {}

    def reset(self, episode):
        self.asked[episode] = 0

    def act(self, observations):
        chunks = super().act(observations)
        for o, chunk in zip(observations, chunks, strict=True):
            self.asked[o.episode] += 1
            chunk.actions[:, 3] = self.asked[o.episode] / 100
            if o.episode == EPISODES[3] and self.asked[o.episode] == 2:
                raise KeyError("lost the thread")
        return chunks


def test_a_failure_beside_it_does_not_change_an_episode(run):
    _, events = run(Remembering(), episodes=EPISODES[2:4])
    found = results(events)
    assert "lost the thread" in found[EPISODES[3]].message
    assert found[EPISODES[2]].actions[:, 3].tolist() == [0.01] * 8 + [0.02] * 8


def test_a_failure_that_cannot_be_filmed_stays_a_failure(run, tmp_path):
    (tmp_path / "videos").write_text("a file where a folder must be")
    _, events = run(Noop(), episodes=EPISODES[:1], video="failures", video_folder=tmp_path / "videos")
    result = results(events)[EPISODES[0]]
    assert isinstance(result, Outcome) and not result.success and result.video is None
    assert result.trouble.type == "FileExistsError" and not any(isinstance(e, Retried) for e in events)


def test_a_worker_killed_in_the_middle_of_a_message_is_a_crash():
    ours, theirs = multiprocessing.Pipe()
    os.write(theirs.fileno(), (1000).to_bytes(4, "big") + b"half a message")
    theirs.close()
    process = subprocess.Popen(["false"])
    process.wait()
    process.join, process.exitcode = lambda: None, process.returncode
    assert _read(SimpleNamespace(connection=ours, process=process)) == Trouble(
        "Crash", "the simulator process died: exit code 1", ""
    )


def test_a_stop_that_came_too_late_leaves_nothing_out(run):
    complete, events = run(Noop(), episodes=EPISODES[:1], on_event=lambda event, engine: engine.stop())
    assert complete and set(results(events)) == {EPISODES[0]}


def test_stop_finishes_what_is_in_flight(run):
    def strike(event, engine):
        if isinstance(event, Started):
            engine.stop()

    complete, events = run(Noop(), on_event=strike)
    started = {e.episode for e in events if isinstance(e, Started)}
    assert not complete and started == set(results(events)) and len(started) < len(EPISODES)
