"""Copies of the policy in processes of their own."""

import asyncio
import os
import signal
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from vla_bench.errors import ModelError, UsageError, WireError
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import make_policy, resolve_choice
from vla_bench.rollout.querying import Answer, query_policy
from vla_bench.serve import batcher as module
from vla_bench.serve.batcher import Batcher
from vla_bench.serve.copies import MOST, Apart, Here, count_copies
from vla_bench.serve.observations import PlayedEpisode

from ..policies.remote.servers import observation
from .running import Looking, Remembering, VlaEvalClient, running, until


@pytest.fixture
def apart():
    """Of the policy `random`, which remembers the episodes that began."""
    choice = ModelChoice("random", seed=3)
    copy = Apart(choice, resolve_choice(choice))
    yield copy
    copy.close()
    copy.close()  # once more is nothing


def pid(policy) -> int:
    return os.getpid()


def reset(policy, episode) -> None:
    policy.reset(episode)


def test_it_is_the_same_policy_in_another_process(apart):
    here, seen = make_policy("random", seed=3), observation()
    apart.check(here.identity)
    with pytest.raises(ModelError, match="was changed while it was loaded"):
        apart.check({"checkpoint": "another"})
    assert apart.submit(pid).result() != os.getpid()
    here.reset(seen.episode)
    apart.submit(reset, seen.episode)
    for _ in range(2):
        (own,), (its,) = query_policy(here, [seen]), apart.submit(query_policy, [seen]).result()
        assert (own.actions == its.actions).all()


def test_sessions_of_the_same_episode_have_a_memory_each_there_too(apart):
    first, second = (PlayedEpisode("object", 3, 0) for _ in range(2))
    assert first != second and first == first and str(first) == str(second) == "object-t3-i00"
    apart.submit(reset, first)
    own, never_begun = (replace(observation(), episode=episode) for episode in (first, second))
    (answer,), (error,) = (apart.submit(query_policy, [each]).result() for each in (own, never_begun))
    assert isinstance(answer, Answer) and error.type == "KeyError"


def test_one_that_dies_fails_its_queries_and_no_others(apart):
    lines = []

    async def play() -> None:
        batcher = Batcher(apart, lines.append)
        answering = asyncio.create_task(batcher.run())
        os.kill(apart.submit(pid).result(), signal.SIGKILL)
        for _ in range(2):  # while it dies, and after
            with pytest.raises(WireError, match="the process of the model has ended"):
                await batcher.ask(observation())
        assert batcher.broken
        batcher.begin(observation().episode)
        answering.cancel()

    asyncio.run(play())
    assert len(lines) == 1 and "BrokenProcessPool" in lines[0]


def test_a_session_stays_with_the_copy_that_had_the_fewest():
    first, second = Remembering(), Remembering()
    with running(first, others=[Here(second)]) as server:
        assert server.health["copies"] == 2
        clients = [VlaEvalClient(server.url) for _ in range(4)]
        for client in clients:
            client.start()
            for _ in range(5):  # chunks are of four steps
                client.observe()
        assert len(first.began) == len(second.began) == 2 and len(first.seen) == len(second.seen) == 4
        for client in clients:
            client.close()
        until(lambda: server.health["sessions"] == 0)
        assert server.health["queries"] == 8


def test_queries_of_other_sessions_are_waited_for_a_little(monkeypatch):
    """Two sessions that ask one after another: together where the last batch took long, a session alone at once."""
    monkeypatch.setattr(module, "PATIENCE", 100.0)

    class Slow(Looking):
        def act(self, observations):
            time.sleep(0.02)
            return super().act(observations)

    async def play(sessions: int) -> list[int]:
        policy = Slow()
        batcher = Batcher(Here(policy))
        answering = asyncio.create_task(batcher.run())
        await batcher.ask(observation(0, size=32))  # a batch whose time is the measure
        batcher.sessions = sessions
        first = asyncio.create_task(batcher.ask(observation(1, size=32)))
        await asyncio.sleep(0.2)
        await batcher.ask(observation(2, size=32))
        await first
        answering.cancel()
        batcher.close()
        return policy.batches

    assert asyncio.run(play(2)) == [1, 2] and asyncio.run(play(1)) == [1, 1, 1]


def test_how_many():
    small, large = SimpleNamespace(leaves_cores=True), SimpleNamespace(leaves_cores=False)
    assert [count_copies(None, policy, 2) for policy in (small, large)] == [2, 1]
    assert count_copies(None, small, 64) == MOST and count_copies(3, large, 1) == 3
    for wrong in (0, MOST + 1):
        with pytest.raises(UsageError, match=f"--copies {wrong}: there can be 1 to {MOST}"):
            count_copies(wrong, small, 2)
