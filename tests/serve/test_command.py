"""`vla-bench serve` as a process: its port, its signals, its errors."""

import builtins
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from vla_bench.serve.run import bound, is_loopback
from vla_bench.wires.vla_eval import MessageType

from ..conftest import ROOT
from .running import VlaEvalClient, sent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(*options: str) -> tuple[subprocess.Popen, int]:
    port = free_port()
    command = [sys.executable, "-m", "vla_bench", "serve", "--model", "nano", "--port", str(port), *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
                assert json.loads(answer.read())["status"] == "ok"
                return process, port
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    process.kill()
    raise AssertionError(process.communicate()[0])


@pytest.mark.parametrize("number, copies", [(signal.SIGINT, "2"), (signal.SIGTERM, "1")])
def test_a_signal_lets_it_answer_and_end(number, copies):
    process, port = start("--copies", copies)
    try:
        client = VlaEvalClient(f"ws://127.0.0.1:{port}")
        client.start()
        client.send(MessageType.OBSERVATION, sent(size=128))
        time.sleep(0.05)
        process.send_signal(number)
        assert client.socket.recv(timeout=60)
        said = process.communicate(timeout=60)[0]
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert f"ws://127.0.0.1:{port}" in said and "lightvla" in said and "warning" not in said


def test_a_port_that_is_taken_is_told_before_a_model_is_loaded(cli):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = cli("serve", "--port", str(port))
    assert done.exit_code == 6 and f"port {port} of 127.0.0.1 is in use" in str(done.exception)
    assert f"--port {port + 1}" in str(done.exception) and not done.stdout


@pytest.mark.parametrize(
    "options, words",
    [
        (("--port", "70000"), "--port 70000"),
        (("--max-sessions", "0"), "--max-sessions"),
        (("--host", "no.such.host.invalid"), "no address of this machine"),
        (("--model", "ws://127.0.0.1:9"), "is a policy server already"),
        (("--model", "expert"), "which no client sends"),
        (("--model", "nano", "--pruner", "nothing-like-it"), "nothing-like-it"),
    ],
)
def test_what_cannot_be_served_is_a_wrong_argument(options, words, cli):
    done = cli("serve", *(() if "--port" in options else ("--port", "0")), *options)
    assert done.exit_code == 2 and words in str(done.exception)


def test_without_its_packages_it_names_the_extra(cli, monkeypatch):
    real = builtins.__import__
    monkeypatch.setattr(
        builtins,
        "__import__",
        lambda name, *rest, **more: real("not_" + name if name == "websockets" else name, *rest, **more),
    )
    done = cli("serve")
    assert (
        done.exit_code == 2 and "pip install 'vla-bench[remote]'" in str(done.exception) and "serve needs" in str(done.exception)
    )


@pytest.mark.parametrize(
    "host, alone", [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("box", False)]
)
def test_who_can_reach_it(host, alone):
    assert is_loopback(host) is alone


def test_a_bound_port_is_free_again():
    with bound("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
    bound("127.0.0.1", port).close()
