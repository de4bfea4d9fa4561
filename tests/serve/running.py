"""Servers of `vla-bench serve` in a thread, policies to serve, and clients of both wires."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager

import numpy as np
from websockets.sync.client import connect

from vla_bench.policies.base import Chunk, Policy
from vla_bench.serve.run import bound
from vla_bench.serve.served import Served
from vla_bench.serve.server import Server
from vla_bench.suites import load_suite
from vla_bench.wires import openpi, vla_eval
from vla_bench.wires.address import parse_address
from vla_bench.wires.vla_eval import Message, MessageType
from vla_bench.world.observation import Sight

SUITES = [load_suite("object"), load_suite("spatial")]
SIZE, CHUNK = 32, 4


class Looking(Policy):
    """Moves by what it sees: the first number is the mean of the pictures, the second the state's height, the third the step.

    gate: an Event that an answer waits for.  batches: how many were asked at once.
    """

    name, sight, image_size = "looking", Sight.IMAGES, SIZE
    identity = {"open_loop_steps": CHUNK, "unnorm_keys": {"object": "one", "spatial": "one"}}

    def __init__(self, gate: threading.Event | None = None):
        self.gate, self.batches, self.seen, self.began, self.ended = gate, [], [], [], []

    def act(self, observations):
        self.batches.append(len(observations))
        self.seen += observations
        if self.gate is not None:
            assert self.gate.wait(20)
        rows = [
            [np.mean([each.mean() for each in o.images.values()]) / 255, o.eef_pos[2], o.step, 0, 0, 0, -1] for o in observations
        ]
        return [
            Chunk(np.array(row) + np.outer(np.arange(CHUNK), [0, 0, 0, 1, 0, 0, 0]), (3, 5), {"vision": 1.0}, 9) for row in rows
        ]


class Remembering(Looking):
    """Has a memory of every episode."""

    def reset(self, episode):
        self.began.append(episode)

    def end(self, episode, success):
        self.ended.append((episode, success))


class Running:
    """A server with the address that clients take."""

    def __init__(self, server: Server, loop: asyncio.AbstractEventLoop, port: int, log: list[str]):
        self.server, self.port, self.log, self.url = server, port, log, f"ws://127.0.0.1:{port}"
        self._loop = loop

    def drain(self) -> None:
        self._loop.call_soon_threadsafe(self.server.drain)

    def address(self, wire: str = "vla-eval"):
        return parse_address(f"ws+{wire}://127.0.0.1:{self.port}")

    def page(self, name: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{name}", timeout=10) as answer:
            return answer.read().decode()

    @property
    def health(self) -> dict:
        return json.loads(self.page("health"))


@contextmanager
def running(policy: Policy, **options):
    """options: of `Server`."""
    ready, log = threading.Event(), []
    with bound("127.0.0.1", 0) as listening:
        port, found = listening.getsockname()[1], []

        async def run():
            loop = asyncio.get_running_loop()
            found.extend([Server(Served(policy, SUITES), listening, log=log.append, **options), loop])
            await found[0].run(ready.set)

        thread = threading.Thread(target=asyncio.run, args=(run(),))
        thread.start()
        try:
            assert ready.wait(20)
            yield Running(*found, port, log)
        finally:
            found[1].call_soon_threadsafe(found[0].drain)
            thread.join(30)
            assert not thread.is_alive()


class VlaEvalClient:
    """Speaks as vla-eval's harness does."""

    def __init__(self, url: str):
        self._open = ExitStack()
        self.socket = self._open.enter_context(connect(url, compression=None, max_size=None))
        self.seq = 0
        self.hello = self.ask(MessageType.HELLO, vla_eval.hello("test")).payload

    def send(self, kind: MessageType, payload: dict) -> None:
        self.seq += 1
        self.socket.send(vla_eval.pack(Message(kind, payload, self.seq)))

    def ask(self, kind: MessageType, payload: dict) -> Message:
        self.send(kind, payload)
        answer = vla_eval.unpack(self.socket.recv(timeout=60))
        assert answer.seq == self.seq
        return answer

    def start(self, **task) -> None:
        about = {"name": "pick up the milk", "suite": "libero_object", "task_id": 3, "episode_idx": 7} | task
        self.send(MessageType.EPISODE_START, {"task": about})

    def observe(self, **changed) -> Message:
        return self.ask(MessageType.OBSERVATION, sent() | changed)

    def end(self, success: bool) -> None:
        self.send(MessageType.EPISODE_END, {"metrics": {"success": success}, "steps": 3})

    def close(self) -> None:
        self._open.close()


def sent(number: int = 0, size: int = SIZE) -> dict:
    """The payload of an observation."""
    draw = np.random.default_rng(number)
    pictures = {name: draw.integers(0, 256, (size, size, 3), np.uint8) for name in ("agentview", "wrist")}
    state = np.concatenate([draw.normal(size=3), [3.1, 0.02, -0.09], [0.04, -0.04]])
    return {"images": pictures, "task_description": "pick up the milk", "states": state}


def request(number: int = 0, size: int = SIZE) -> dict:
    """A request of openpi."""
    payload = sent(number, size)
    pictures = payload["images"]
    return {
        openpi.IMAGE: pictures["agentview"],
        openpi.WRIST: pictures["wrist"],
        openpi.STATE: payload["states"],
        openpi.PROMPT: payload["task_description"],
    }


def until(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)
