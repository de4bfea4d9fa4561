"""The policy behind a server, against servers that answer well, wrongly, late and never."""

import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol

from vla_bench.errors import UsageError, WireError
from vla_bench.policies.base import Chunk
from vla_bench.policies.registry import make_policy
from vla_bench.policies.remote.observation import Wanted
from vla_bench.policies.remote.policy import RemotePolicy, connected
from vla_bench.wires import openpi, vla_eval
from vla_bench.wires.address import Wire, parse_address
from vla_bench.wires.frames import FRAME
from vla_bench.wires.vla_eval import Message, MessageType

from .servers import CHUNK, SUITE, buffered, observation, serving, speaking_openpi, speaking_vla_eval, wait_until

SNAPPED = np.concatenate([CHUNK[:, :6], [[-1.0], [1.0], [1.0], [-1.0]]], axis=1)


def whole(message, heard):
    return {"actions": CHUNK}


def test_a_chunk_is_executed_with_its_gripper_snapped():
    with serving(speaking_vla_eval(whole)) as server:
        chunk = RemotePolicy(server.vla_eval(), [SUITE]).act([observation()])[0]
        assert np.array_equal(chunk.actions, SNAPPED)  # 0 closes, as in the harness of vla-eval
        two = RemotePolicy(server.vla_eval(), [SUITE], open_loop_steps=2).act([observation()])[0]
        assert np.array_equal(two.actions, SNAPPED[:2])


def test_single_steps_are_asked_for_one_by_one():
    with serving(speaking_vla_eval(buffered)) as server:
        policy = RemotePolicy(server.vla_eval(), [SUITE])
        steps = [policy.act([observation(step=step)])[0].actions for step in range(5)]
        assert [len(each) for each in steps] == [1] * 5
        assert np.allclose(np.concatenate(steps), [*SNAPPED, SNAPPED[0]])


def test_with_a_known_chunk_one_full_observation_brings_all_of_it():
    with serving(speaking_vla_eval(buffered)) as server:
        policy = RemotePolicy(server.vla_eval(), [SUITE], chunk=4)
        for step in (0, 4, 8):
            assert np.allclose(policy.act([observation(step=step)])[0].actions, SNAPPED)
        sent = server.heard[-1].of(MessageType.OBSERVATION)
        pictures = [each.payload[vla_eval.IMAGES][vla_eval.AGENTVIEW] for each in sent]
        assert [picture is not None for picture in pictures] == [True, False, False, False] * 3


def test_a_chunk_that_is_longer_than_the_servers_is_refused_in_words():
    def answer(message, heard):
        try:
            return buffered(message, heard)
        except TypeError as error:
            return Message(MessageType.ERROR, {"error": f"TypeError: {error}"}, message.seq)

    with serving(speaking_vla_eval(answer)) as server:
        failed = RemotePolicy(server.vla_eval(), [SUITE], chunk=6).act([observation()])[0]
        assert isinstance(failed, WireError) and "--chunk 6: no action 5" in str(failed) and "TypeError: int()" in str(failed)
    with serving(speaking_vla_eval(whole)) as server:
        failed = RemotePolicy(server.vla_eval(), [SUITE], chunk=6).act([observation()])[0]
        assert "answers whole chunks, of 4 steps" in str(failed)
        assert "answers 4 steps" in str(RemotePolicy(server.vla_eval(), [SUITE], open_loop_steps=6).act([observation()])[0])
        with pytest.raises(UsageError, match="--open-loop-steps 6 of a chunk of 4"):
            RemotePolicy(server.vla_eval(), [SUITE], chunk=4, open_loop_steps=6)


def test_all_observations_are_sent_before_an_answer_is_awaited():
    """The server answers nothing until it has heard all three, as one that batches over its sessions."""
    three = threading.Barrier(3)

    def answer(message, heard):
        three.wait(timeout=5)
        return {"actions": CHUNK + message.payload["states"][0]}

    with serving(speaking_vla_eval(answer, observation_params={"send_state": True})) as server:
        seen = [observation(i) for i in range(3)]
        chunks = RemotePolicy(server.vla_eval(), [SUITE]).act(seen)
        for each, chunk in zip(seen, chunks, strict=True):
            assert np.allclose(chunk.actions[:, :6], CHUNK[:, :6] + each.eef_pos[0])


def test_no_connection_is_made_while_the_server_computes():
    """That of openpi blocks its event loop with a query: a connection made then would wait for the answer, or time out."""
    computing = []

    def handle(connection, heard):
        too_late = bool(computing)  # another server than the one that was found, then
        speaking_openpi(lambda request, heard: computing.append(1) or {"actions": CHUNK}, too_late=too_late)(connection, heard)

    with serving(handle) as server:
        chunks = RemotePolicy(server.openpi(), [SUITE]).act([observation(i) for i in range(3)])
        assert all(isinstance(each, Chunk) for each in chunks)


def test_the_first_answer_may_take_longer_than_the_others():
    waits = iter((0.5, 0.0, 0.5))

    def answer(message, heard):
        time.sleep(next(waits))
        return {"actions": CHUNK}

    with serving(speaking_vla_eval(answer)) as server:
        policy = RemotePolicy(server.vla_eval(), [SUITE], answer_s=0.2, first_answer_s=5)
        kinds = [type(policy.act([observation()])[0]) for _ in range(3)]
        assert kinds == [Chunk, Chunk, WireError]


def test_an_episode_has_a_connection_of_its_own_from_its_start_to_its_end():
    with serving(speaking_vla_eval(whole)) as server:
        policy = RemotePolicy(server.vla_eval(), [SUITE])
        first, second = observation(0), observation(1)
        policy.act([first, second])
        policy.act([first])
        policy.end(first.episode, True)
        policy.reset(second.episode)  # another attempt begins
        policy.act([second])
        policy.close()
        episodes = server.heard[1:]
        wait_until(lambda: all(each.closed.is_set() for each in server.heard))
        kinds = [[each.type.value for each in heard.messages] for heard in episodes]
        assert kinds[0] == ["hello", "episode_start", "observation", "observation", "episode_end"]
        assert kinds[1] == ["hello", "episode_start", "observation", "episode_end"]
        assert kinds[2] == ["hello", "episode_start", "observation"]
        start, end = episodes[0].messages[1], episodes[0].messages[-1]
        assert start.payload["task"] == {
            "name": "pick up the milk",
            "suite": "libero_object",
            "task_id": 3,
            "episode_idx": 0,
        }
        assert end.payload["metrics"] == {"success": True}


ANSWERS = [
    ({"actions": np.full((4, 7), np.nan)}, "not finite"),
    ({"actions": np.full(7, np.inf)}, "not finite"),
    ({"actions": np.zeros((4, 8))}, r"shape \(4, 8\)"),
    ({"actions": np.zeros((1, 4, 7))}, r"shape \(1, 4, 7\)"),
    ({"actions": np.zeros((0, 7))}, r"shape \(0, 7\)"),
    ({"actions": 3}, r"shape \(\)"),
    ({"actions": [[0.0] * 7, [0.0] * 6]}, "unequal length"),
    ({"actions": [["a"] * 7]}, "not numbers"),
    ({"actions": None, "other": 1}, "without actions: it has actions, other"),
    (Message(MessageType.ERROR, {"error": "observation_failed: KeyError: 'wrist'"}, 3), "KeyError: 'wrist'"),
    (Message(MessageType.ACTION, {"actions": np.zeros(7)}, 99), "answered observation 3 with action 99"),
    (Message(MessageType.HELLO, {}, 3), "answered observation 3 with hello"),
    (b"\xc1", "not readable"),
    ("a text", "a text where a message"),
    (b"\x00" * (FRAME + 1), "was lost"),
    (None, "sent no answer in time"),
]


@pytest.mark.parametrize(("answer", "says"), ANSWERS)
def test_an_answer_that_is_none_fails_its_episode_alone(answer, says):
    def handle(message, heard):
        return answer if np.isclose(message.payload["states"][0], bad.eef_pos[0]) else {"actions": CHUNK}

    good, bad = observation(0), observation(1)
    with serving(speaking_vla_eval(handle, observation_params={"send_state": True})) as server:
        policy = RemotePolicy(server.vla_eval(), [SUITE], answer_s=0.4, first_answer_s=0.4)
        chunk, failed = policy.act([good, bad])
        assert isinstance(chunk, Chunk) and isinstance(failed, WireError)
        with pytest.raises(WireError, match=says):
            raise failed
        again = policy.act([good])[0]
        assert isinstance(again, Chunk) and len(server.heard) == 3  # detection, and a connection for each


def test_a_dropped_connection_fails_its_episode_and_the_next_one_has_a_new_connection():
    def handle(connection, heard):
        def answer(message, heard):
            return connection.close() if len(server.heard) == 2 else {"actions": CHUNK}

        speaking_vla_eval(answer)(connection, heard)

    with serving(handle) as server:
        policy = RemotePolicy(server.vla_eval(), [SUITE])
        assert "was lost" in str(policy.act([observation()])[0])
        assert isinstance(policy.act([observation()])[0], Chunk)


def test_a_server_that_reads_nothing_holds_nobody_for_ever(monkeypatch):
    monkeypatch.setattr("vla_bench.policies.remote.connection.SEND_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        frozen = threading.Thread(target=greet_and_freeze, args=(listening,), daemon=True)
        frozen.start()
        session = connected(parse_address(f"ws://127.0.0.1:{listening.getsockname()[1]}"), Wire.VLA_EVAL, SUITE.cameras)
        started = time.monotonic()
        with pytest.raises(WireError, match="was lost"):
            session.ask(observation(size=2000), Wanted(wrist=True))  # 24 MB: more than the buffers of a connection hold
        assert 0.5 < time.monotonic() - started < 10
        session.close()


def greet_and_freeze(listening):
    """Say hello to one client, and read nothing more."""
    connection, _ = listening.accept()
    protocol = ServerProtocol()
    while True:
        protocol.receive_data(connection.recv(65536))
        for event in protocol.events_received():
            if isinstance(event, Request):
                protocol.send_response(protocol.accept(event))
            else:
                protocol.send_binary(vla_eval.pack(Message(MessageType.HELLO, vla_eval.hello("test"), 1)))
        connection.sendall(b"".join(protocol.data_to_send()))
        if protocol.state is State.OPEN and not isinstance(event, Request):
            return time.sleep(15)


def test_what_the_server_says_of_itself_is_part_of_the_identity():
    spec = {"position": {"name": "position", "dims": 3, "format": "delta_xyz", "range": [-1, 1]}}
    about = {"observation_params": {"send_state": True}, "action_spec": spec}
    with serving(speaking_vla_eval(whole, **about, odd=[np.arange(3), b"\x00", float("nan"), 2**63])) as server:
        policy = RemotePolicy(server.vla_eval(), [SUITE], chunk=4, open_loop_steps=2)
    own = policy.identity
    assert own["wire"] == "vla-eval" and own["weights"] == "unknown" and (own["chunk"], own["open_loop_steps"]) == (4, 2)
    assert own["server"]["model_server"] == "Test" and own["server"]["action_spec"] == spec
    assert own["server"]["odd"][0]["shape"] == [3] and own["server"]["odd"][2:] == ["nan", str(2**63)]


def test_another_server_at_the_same_address_is_noticed():
    names = iter(("first", "first", "second"))

    def handle(connection, heard):
        speaking_vla_eval(whole, name=next(names))(connection, heard)

    with serving(handle) as server:
        policy = RemotePolicy(server.vla_eval(), [SUITE])
        assert isinstance(policy.act([observation()])[0], Chunk)
        assert "another server than when the run began" in str(policy.act([observation(1)])[0])


def test_no_server_and_what_is_none_are_said_with_a_command_that_looks():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = parse_address(f"ws://127.0.0.1:{free.getsockname()[1]}")
        with pytest.raises(WireError, match=f"nothing answers at {address.url}: Connection refused\n  fix: curl"):
            RemotePolicy(address, [SUITE])
        free.listen()
        closing = threading.Thread(target=lambda: free.accept()[0].close())
        closing.start()
        with pytest.raises(WireError, match="no policy server answers"):
            RemotePolicy(address, [SUITE])
        closing.join()


def test_the_wire_is_found_out():
    with serving(speaking_openpi(lambda request, heard: {"actions": CHUNK}, name="pi")) as server:
        assert RemotePolicy(server.address, [SUITE]).identity["wire"] == "openpi"
    with serving(speaking_vla_eval(whole)) as server:
        assert RemotePolicy(server.address, [SUITE]).identity["wire"] == "vla-eval"


def test_a_server_of_both_wires_is_spoken_to_over_the_one_with_episodes():
    def handle(connection, heard):
        """As `vla-bench serve` does: what says nothing hears the metadata of openpi."""
        try:
            frame = connection.recv(timeout=0.2)
        except TimeoutError:
            return connection.send(openpi.pack({openpi.WIRES: ["openpi", "vla-eval"]}))
        message = vla_eval.unpack(frame)
        connection.send(vla_eval.pack(Message(MessageType.HELLO, vla_eval.hello("test"), message.seq)))

    with serving(handle) as server:
        assert RemotePolicy(server.address, [SUITE]).identity["wire"] == "vla-eval"


def test_its_packages_are_named_where_they_are_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "websockets", None)
    with pytest.raises(UsageError, match=r"needs websockets, which is not installed\n  fix: pip install 'vla-bench\[remote\]'"):
        make_policy("ws://127.0.0.1:9")


def test_it_loads_neither_a_network_nor_a_simulator():
    code = "import sys, vla_bench.policies.remote.policy; assert not {'torch', 'mujoco', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
