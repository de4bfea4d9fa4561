"""The wire of openpi from end to end; that openpi's own client and server speak so, tests/interop says."""

import numpy as np
import pytest

from vla_bench.errors import WireError
from vla_bench.policies.base import Chunk
from vla_bench.policies.remote.policy import RemotePolicy
from vla_bench.wires import openpi

from .servers import CHUNK, SUITE, observation, serving, speaking_openpi


def test_a_request_brings_a_chunk_and_the_servers_own_time():
    def answer(request, heard):
        return {"actions": CHUNK, "server_timing": {"infer_ms": 12.5}}

    with serving(speaking_openpi(answer, reset_pose=[0.0, 1.0])) as server:
        policy = RemotePolicy(server.openpi(), [SUITE], open_loop_steps=3)
        chunk = policy.act([observation()])[0]
        assert chunk.actions.shape == (3, 7) and chunk.stages_ms == {"server": 12.5}
        assert policy.identity["server"] == {"reset_pose": [0.0, 1.0]} and policy.identity["image_size"] == 224
        request = server.heard[-1].messages[0]
        assert set(request) == {openpi.IMAGE, openpi.WRIST, openpi.STATE, openpi.PROMPT}
        assert request[openpi.IMAGE].shape == (224, 224, 3) and request[openpi.STATE].shape == (8,)


def test_an_error_is_a_text_and_its_end_is_kept():
    with serving(speaking_openpi(lambda request, heard: "Traceback\n" + "x" * 9000 + "\nKeyError: 'prompt'")) as server:
        failed = RemotePolicy(server.openpi(), [SUITE]).act([observation()])[0]
        assert isinstance(failed, WireError) and "KeyError: 'prompt'" in str(failed) and len(str(failed)) < 2500


@pytest.mark.parametrize("timing", [None, 3, {"infer_ms": "x"}, {"infer_ms": float("nan")}, {"infer_ms": -1}])
def test_a_time_that_is_none_is_left_out(timing):
    with serving(speaking_openpi(lambda request, heard: {"actions": CHUNK, "server_timing": timing})) as server:
        chunk = RemotePolicy(server.openpi(), [SUITE]).act([observation()])[0]
        assert isinstance(chunk, Chunk) and chunk.stages_ms == {} and np.array_equal(chunk.actions[:, :6], CHUNK[:, :6])
