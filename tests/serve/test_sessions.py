"""Many sessions at a time: batches, clients that vanish or send nonsense, limits, and the end of a server."""

import random
import threading
import time
from contextlib import ExitStack

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from vla_bench.serve import limits
from vla_bench.wires import openpi, vla_eval
from vla_bench.wires.vla_eval import Message, MessageType

from .running import CHUNK, Looking, Remembering, VlaEvalClient, request, running, sent, until


def observing(client: VlaEvalClient) -> VlaEvalClient:
    """A client that waits for its first action."""
    client.start()
    client.send(MessageType.OBSERVATION, sent())
    return client


def test_queries_that_wait_go_together_while_pages_are_answered():
    policy = Looking(threading.Event())
    with running(policy) as server:
        clients = [observing(VlaEvalClient(server.url)) for _ in range(6)]
        until(lambda: server.health["waiting"] == 5)
        assert server.health["sessions"] == 6 and server.page("healthz") == "OK\n" and '"vla_bench"' in server.page("config")
        policy.gate.set()
        for client in clients:
            assert vla_eval.unpack(client.socket.recv(timeout=10)).type is MessageType.ACTION
    assert policy.batches == [1, 5]


def test_ten_clients_that_vanish_leave_nothing():
    policy = Remembering(threading.Event())
    with running(policy) as server:
        for client in [observing(VlaEvalClient(server.url)) for _ in range(10)]:
            client.socket.socket.close()  # no closing handshake
        until(lambda: server.health["sessions"] == 0)
        policy.gate.set()
        client = VlaEvalClient(server.url)
        client.start()
        assert client.observe().type is MessageType.ACTION
        until(lambda: len(policy.ended) == 10)
    assert policy.batches == [1, 1]  # the one that was computed, and the last: nobody waits for the others
    assert {key for key, _ in policy.ended} == set(policy.began)


def test_nonsense_disturbs_nobody():
    draw = random.Random(0)
    with running(Looking()) as server:
        stop = threading.Event()

        def talk_nonsense():
            while not stop.is_set():
                with connect(server.url) as socket:
                    socket.send(vla_eval.pack(Message(MessageType.HELLO, {})))
                    try:
                        for _ in range(20):
                            socket.send(draw.randbytes(draw.randrange(3000)))
                            socket.recv(timeout=5)
                    except ConnectionClosed:
                        pass

        other = threading.Thread(target=talk_nonsense)
        other.start()
        try:
            client = VlaEvalClient(server.url)
            client.start()
            answers = [client.observe() for _ in range(20 * CHUNK)]
        finally:
            stop.set()
            other.join()
    assert [each.payload["actions"][3] for each in answers] == [0, 1, 2, 3] * 20
    assert len(server.log) < 50  # one line a session


def test_a_policy_that_fails_is_an_error_and_the_server_goes_on():
    policy = Looking()
    act, policy.act = policy.act, lambda observations: 1 / 0
    with running(policy) as server:
        client = VlaEvalClient(server.url)
        client.start()
        failed = client.observe()
        assert failed.type is MessageType.ERROR and "division by zero" in failed.payload["error"]
        policy.act = act
        assert client.observe().type is MessageType.ACTION


def test_more_sessions_than_there_may_be_are_refused():
    with running(Looking(), sessions=1) as server:
        first = VlaEvalClient(server.url)
        with pytest.raises(InvalidStatus) as refused, connect(server.url):
            pass
        assert refused.value.response.status_code == 503 and b"1 sessions" in refused.value.response.body
        first.close()
        until(lambda: server.health["sessions"] == 0)
        VlaEvalClient(server.url).close()


def test_a_page_in_a_browser_is_no_client():
    with running(Looking()) as server, pytest.raises(InvalidStatus) as refused:
        with connect(server.url, origin="http://evil.example"):
            pass
    assert refused.value.response.status_code == 403


def test_a_frame_that_is_too_large_ends_its_connection():
    with running(Looking()) as server:
        client = VlaEvalClient(server.url)
        with pytest.raises(ConnectionClosed):
            client.socket.send(b"x" * (limits.FRAME + 1))
            client.socket.recv(timeout=10)
        VlaEvalClient(server.url).close()


def test_a_session_that_is_idle_is_closed():
    with running(Looking(), idle_s=0.3) as server:
        client = VlaEvalClient(server.url)
        with pytest.raises(ConnectionClosed) as closed:
            client.socket.recv(timeout=10)
        assert closed.value.rcvd.code == 1001 and "nothing came for 0.3 s" in closed.value.rcvd.reason
        assert server.health["sessions"] == 0


def test_the_end_answers_what_is_in_flight_and_takes_nothing_new():
    policy = Looking(threading.Event())
    with running(policy) as server, ExitStack() as stack:
        idle, one = VlaEvalClient(server.url), observing(VlaEvalClient(server.url))
        other = stack.enter_context(connect(server.url))
        other.recv(timeout=5)
        other.send(openpi.pack(request()))
        until(lambda: len(policy.batches) == 1 and server.health["waiting"] == 1)
        threading.Timer(0.5, policy.gate.set).start()
        began = time.monotonic()
        server.drain()
        with pytest.raises(ConnectionClosed):
            idle.socket.recv(timeout=5)
        assert time.monotonic() - began < 0.5
        with pytest.raises((OSError, InvalidStatus)), connect(server.url, open_timeout=5):
            pass
        assert vla_eval.unpack(one.socket.recv(timeout=5)).type is MessageType.ACTION
        assert openpi.unpack(other.recv(timeout=5))["actions"].shape == (CHUNK, 7)
        with pytest.raises((ConnectionClosed, ConnectionClosedError)):
            other.recv(timeout=5)
