"""nano behind the server: the same chunks, kept tokens and costs as in this process, alone and in batches."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from vla_bench.policies.base import Chunk
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import make_policy
from vla_bench.policies.remote.policy import RemotePolicy
from vla_bench.records import EpisodeKey
from vla_bench.suites import load_suite

from ..nanos import one_thread
from ..policies.remote.servers import SUITE, observation
from .running import VlaEvalClient, running

SUITES = ("object", "spatial")
ALONE, TOGETHER = 1e-6, 5e-6  # of an action; together the sums of a batch are ordered differently
INSTRUCTIONS = [task.language for task in load_suite("object").tasks]


@pytest.fixture(scope="module")
def nano():
    with one_thread():
        yield make_policy(ModelChoice("nano", suites=SUITES, device="cpu"))


def observations(count: int) -> list:
    """Of smooth pictures, in which unequal numbers of tokens are kept, with unequal instructions and paths."""
    made = []
    for i in range(count):
        draw = np.random.default_rng(i)
        coarse = draw.integers(0, 256, (2, 8, 8, 3))
        pictures = np.kron(coarse, np.ones((1, 16, 16, 1))).astype(np.uint8)
        images = dict(zip(SUITE.cameras, pictures, strict=True))
        path = draw.normal(size=(8, 3))
        made.append(replace(observation(i), images=images, instruction=INSTRUCTIONS[i], path=path))
    return made


def compare(here: Chunk, there: Chunk, tolerance: float) -> None:
    assert np.abs(here.actions - there.actions).max() <= tolerance
    assert here.kept_tokens == there.kept_tokens and here.trace == there.trace and here.prompt_tokens == there.prompt_tokens
    assert there.gflops == pytest.approx(here.gflops, abs=1e-6) and there.stages_ms.keys() == here.stages_ms.keys()


def test_alone_all_is_as_in_this_process(nano):
    seen = observations(3)
    here = [nano.act([each])[0] for each in seen]
    with running(nano) as server:
        policy = RemotePolicy(server.address(), [SUITE])
        assert policy.image_size == 128 and policy.visual_tokens == 128 and policy.identity["pruner"] == "lightvla"
        assert policy.identity["weights"] == nano.identity["checkpoint"]
        for each, own in zip(seen, here, strict=True):
            compare(own, policy.act([each])[0], ALONE)
        policy.close()


def test_together_each_is_as_alone(nano):
    seen = observations(8)
    here = [nano.act([each])[0] for each in seen]
    assert len({chunk.kept_total for chunk in here}) > 1
    with running(nano) as server:
        policy = RemotePolicy(server.address(), [SUITE])
        for own, there in zip(here, policy.act(seen), strict=True):
            compare(own, there, TOGETHER)
        assert server.health["batches"] < server.health["queries"] == 8
        policy.close()


def _later(observation, query: int):
    """The same episode, a few pixels further."""
    images = {camera: np.roll(image, query, axis=0) for camera, image in observation.images.items()}
    return replace(observation, episode=EpisodeKey("object", 1, 2), step=8 * query, images=images)


@pytest.mark.parametrize("pruner", ["vla-cache", "vla-adp"])
def test_a_pruner_with_a_memory_has_one_an_episode(pruner):
    """Two sessions play the same episode, each with other pictures: each as if it were alone."""
    with one_thread():
        policy = make_policy(ModelChoice("nano", suites=SUITES, device="cpu", pruner=pruner))
        plays = [[_later(each, n) for n in range(3)] for each in observations(2)]
        here = []
        for play in plays:
            policy.reset(play[0].episode)
            here.append([policy.act([each])[0] for each in play])
        with running(policy) as server:
            clients = [RemotePolicy(server.address(), [SUITE]) for _ in plays]
            for n in range(3):
                for client, play, own in zip(clients, plays, here, strict=True):
                    compare(own[n], client.act([play[n]])[0], ALONE)
            for client in clients:
                client.close()
    if pruner == "vla-cache":  # vla-adp keeps all or half of these by their paths
        last = plays[1][2]
        policy.reset(last.episode)
        assert not np.array_equal(policy.act([last])[0].actions, here[1][2].actions)  # what it remembers matters


def test_the_hello_of_nano_is_read_by_the_harness_of_vla_eval(nano):
    with running(nano) as server:
        client = VlaEvalClient(server.url)
        about = client.hello["vla_bench"]
        assert (about["model"], about["camera_size"], about["open_loop_steps"]) == ("nano", 128, 8)
        assert threading.active_count() < 50
        client.close()
