"""Clients of vla-eval: hello, episodes, steps from the buffer, errors."""

import numpy as np
import pytest
from vla_eval.benchmarks.libero.benchmark import LIBEROBenchmark
from vla_eval.specs import DimSpec, check_specs

from vla_bench.wires.vla_eval import MessageType

from .running import CHUNK, SIZE, Looking, Remembering, VlaEvalClient, running, sent, until


def test_the_hello_is_the_same_for_all_and_fits_the_benchmark_of_vla_eval():
    with running(Looking()) as server:
        hellos = [VlaEvalClient(server.url).hello for _ in range(2)]
    assert hellos[0] == hellos[1] and hellos[0]["vla_bench"]["model"] == "looking"
    wishes = hellos[0]["observation_params"]
    assert wishes == {"send_wrist_image": True, "send_state": True, "quat_no_antipodal": True}
    theirs = LIBEROBenchmark(**wishes)
    own = [
        {name: DimSpec.from_dict(each) for name, each in hellos[0][part].items()} for part in ("action_spec", "observation_spec")
    ]
    assert check_specs(own[0], theirs.get_action_spec(), own[1], theirs.get_observation_spec()) == []


def test_a_chunk_is_answered_step_by_step_and_only_its_first_observation_is_looked_at():
    policy = Looking()
    with running(policy) as server:
        client = VlaEvalClient(server.url)
        client.start()
        answers = [client.observe() for _ in range(CHUNK)]
        answers.append(client.observe(**sent(1)))
    assert [each.type for each in answers] == [MessageType.ACTION] * (CHUNK + 1)
    assert [each.payload["actions"][3] for each in answers] == [0, 1, 2, 3, 0]
    assert all(each.payload["actions"].shape == (7,) for each in answers)
    assert [i for i, each in enumerate(answers) if "query" in each.payload] == [0, CHUNK]
    query = answers[0].payload["query"]
    assert (query["step"], query["kept"], query["prompt_tokens"]) == (0, [3, 5], 9)
    first, second = policy.seen
    assert (second.step, second.episode[:3]) == (CHUNK, ("object", 3, 7))
    payload = sent()
    assert np.array_equal(first.images["agentview"], payload["images"]["agentview"][::-1, ::-1])
    assert np.allclose(second.path[:-1], payload["states"][:3]) and len(second.path) == CHUNK  # at every step since the first


def test_a_new_episode_drops_the_buffer_and_the_memory():
    policy = Remembering()
    with running(policy) as server:
        one, other = (VlaEvalClient(server.url) for _ in range(2))
        for client in (one, other):  # the same episode, and each of them has its own memory
            client.start()
            client.observe()
        assert len(set(policy.began)) == 2 and policy.began[0][:3] == policy.began[1][:3]
        one.end(True)
        one.start(task_id=4)
        assert one.observe().payload["actions"][3] == 0
        other.close()
        until(lambda: server.health["sessions"] == 1)
        until(lambda: len(policy.ended) == 2)
    assert policy.ended[:2] == [(policy.began[0], True), (policy.began[1], None)]
    assert [key.task_id for key in policy.began] == [3, 3, 4] and len(policy.ended) == 3


def test_a_client_that_sends_whole_chunks_away_gets_them_at_once():
    with running(Looking()) as server:
        client = VlaEvalClient(server.url)
        client.start()
        answer = client.observe(whole_chunk=True, step=40, path=np.ones((5, 3)))
        assert answer.payload["actions"].shape == (CHUNK, 7) and answer.payload["actions"][0, 2] == 40
        assert client.observe().payload["actions"][2] == CHUNK


PICTURE = sent()["images"]["agentview"]


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"images": {"agentview": PICTURE}}, "no wrist"),
        ({"images": None}, "no images"),
        ({"images": {"agentview": PICTURE, "wrist": PICTURE[:, :8]}}, "(32, 8, 3)"),
        ({"images": {"agentview": PICTURE, "wrist": PICTURE.astype(np.float32)}}, "float32"),
        ({"images": {"agentview": "no", "wrist": PICTURE}}, "agentview is str"),
        ({"images": {"agentview": np.zeros((2, 2, 3), np.uint8), "wrist": PICTURE}}, "2 pixels a side"),
        ({"states": np.zeros(7)}, "(7,)"),
        ({"states": np.full(8, np.nan)}, "not finite"),
        ({"states": ["a"] * 8}, "numbers"),
        ({"states": [[0], 1]}, "no row of numbers"),
        ({"states": None}, "there is no state"),
        ({"task_description": ""}, "1 to 1000 characters"),
        ({"task_description": "x" * 1001}, "1 to 1000 characters"),
        ({"task_description": 3}, "not 3"),
        ({"step": -1}, "step is -1"),
        ({"path": np.zeros((0, 3))}, "(0, 3)"),
    ],
)
def test_what_cannot_be_used_is_an_error_and_the_session_goes_on(changed, words, served):
    client = VlaEvalClient(served.url)
    client.start()
    failed = client.observe(**changed)
    assert failed.type is MessageType.ERROR and words in failed.payload["error"], failed.payload
    assert client.observe().payload["actions"].shape == (7,)
    client.close()


@pytest.fixture(scope="module")
def served():
    with running(Looking()) as server:
        yield server


def test_an_observation_needs_an_episode(served):
    client = VlaEvalClient(served.url)
    assert "no episode has begun" in client.observe().payload["error"]
    client.start(task_id="three")
    assert "task_id is 'three'" in client.observe().payload["error"]
    client.start()
    assert client.observe().type is MessageType.ACTION
    client.end(False)
    assert "the episode has ended" in client.observe().payload["error"]


def test_a_suite_whose_statistics_are_not_known_is_an_error():
    policy = Looking()
    policy.identity = {"unnorm_keys": {"object": "one", "spatial": "other"}}
    with running(policy) as server:
        client = VlaEvalClient(server.url)
        client.start(suite="libero_goal")
        failed = client.observe()
        assert (
            failed.type is MessageType.ERROR
            and "'libero_goal'" in failed.payload["error"]
            and "--suite" in failed.payload["error"]
        )
        client.start(suite="libero_spatial")
        assert client.observe().type is MessageType.ACTION and policy.seen[0].episode.suite == "spatial"


def test_pictures_of_another_size_are_resized_which_is_said_once(served):
    client = VlaEvalClient(served.url)
    client.start()
    for _ in range(2 * CHUNK):
        assert client.observe(**sent(size=2 * SIZE)).type is MessageType.ACTION
    assert [line for line in served.log if line.startswith("pictures of 64")] == [
        "pictures of 64 pixels a side: 32 x 32 as they come, others resized to that"
    ]
