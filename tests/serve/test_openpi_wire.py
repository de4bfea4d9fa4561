"""Clients of openpi: metadata, requests, errors; and which wire a client speaks."""

import time

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from vla_bench.errors import WireError
from vla_bench.policies.remote.policy import RemotePolicy, detect
from vla_bench.wires import openpi
from vla_bench.wires.address import Wire, parse_address

from ..policies.remote.servers import CAMERAS, SUITE, observation
from .running import CHUNK, Looking, Remembering, VlaEvalClient, request, running


@pytest.fixture(scope="module")
def served():
    with running(Looking()) as server:
        yield server


def test_who_says_nothing_hears_the_metadata_and_gets_whole_chunks(served):
    with connect(served.url) as socket:
        metadata = openpi.unpack(socket.recv(timeout=5))
        assert metadata["wires"] == ["openpi", "vla-eval"] and metadata["vla_bench"]["model"] == "looking"
        for step in range(2):
            socket.send(openpi.pack(request(step)))
            answer = openpi.unpack(socket.recv(timeout=5))
            assert answer["actions"].shape == (CHUNK, 7) and answer["actions"][0, 2] == step
            assert answer["server_timing"]["infer_ms"] > 0 and answer["query"]["kept"] == [3, 5]


def test_a_client_that_speaks_late_is_heard_in_either_wire(served):
    time.sleep(0.01)
    wire, said = detect(parse_address(served.url), CAMERAS)
    assert wire is Wire.VLA_EVAL and said["model_server"] == "vla-bench"  # by the metadata, which name both wires
    assert VlaEvalClient(served.url).hello == said


@pytest.mark.parametrize(
    "broken, words",
    [
        ({openpi.PROMPT: 3}, "instruction"),
        ({openpi.STATE: np.zeros(3)}, "(3,)"),
        ({openpi.IMAGE: None}, "not a picture"),
    ],
)
def test_an_error_is_a_text_and_the_end(broken, words, served):
    with connect(served.url) as socket:
        socket.recv(timeout=5)
        socket.send(openpi.pack(request() | broken))
        said = socket.recv(timeout=5)
        assert isinstance(said, str) and words in said
        with pytest.raises(ConnectionClosedError) as closed:
            socket.recv(timeout=5)
        assert closed.value.rcvd.code == openpi.INTERNAL_ERROR


@pytest.mark.parametrize("frame", [b"\xc1", b"", "a text", openpi.pack({"prompt": "x"})])
def test_a_first_frame_that_nobody_can_read_is_answered_with_a_text(frame, served):
    with connect(served.url) as socket:
        socket.send(frame)
        while not isinstance(said := socket.recv(timeout=5), str):
            pass
        assert said


def test_a_memory_of_episodes_is_refused():
    policy = Remembering()
    with running(policy) as server:
        failed = RemotePolicy(server.address("openpi"), [SUITE]).act([observation()])[0]
        assert isinstance(failed, WireError) and "looking remembers earlier queries" in str(failed) and "vla-eval" in str(failed)
    assert not policy.seen


def test_actions_that_are_scaled_by_suite_need_the_suite():
    policy = Looking()
    policy.identity = {"unnorm_keys": {"object": "one", "spatial": "other"}}
    with running(policy) as server:
        failed = RemotePolicy(server.address("openpi"), [SUITE]).act([observation()])[0]
        assert "--suite and one of object, spatial" in str(failed)
