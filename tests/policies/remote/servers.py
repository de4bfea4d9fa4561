"""Policy servers on this machine that do what a test wants of them, and observations to send."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass, field

import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import serve

from vla_bench.records import EpisodeKey
from vla_bench.suites import load_suite
from vla_bench.wires import openpi, vla_eval
from vla_bench.wires.address import parse_address
from vla_bench.wires.vla_eval import Message, MessageType
from vla_bench.world.observation import Observation, Scene, SceneConstants

SUITE = load_suite("object")
CAMERAS = SUITE.cameras
DOWN = np.array([0.9995, 0.002, 0.003, -0.0299])  # how the end effector of LIBERO looks: w < 0
CHUNK = np.concatenate([np.linspace(-0.5, 0.5, 24).reshape(4, 6), [[-0.3], [0.0], [0.2], [-0.9]]], axis=1)


def observation(init_state: int = 0, step: int = 0, size: int = 256) -> Observation:
    """Of noise, which differs by init state and step."""
    draw = np.random.default_rng([init_state, step])
    return Observation(
        episode=EpisodeKey("object", 3, init_state, 0),
        step=step,
        instruction="pick up the milk",
        eef_pos=draw.normal(size=3),
        eef_quat=DOWN / np.linalg.norm(DOWN),
        gripper_qpos=draw.normal(size=2),
        scene=Scene(SceneConstants((), (), {}, {}, {}), {}, {}, {}),
        images={camera: draw.integers(0, 256, (size, size, 3), np.uint8) for camera in CAMERAS},
    )


@dataclass
class Heard:
    """What one connection brought: the messages, or the requests of openpi."""

    messages: list = field(default_factory=list)
    closed: threading.Event = field(default_factory=threading.Event)

    def of(self, kind: MessageType) -> list[Message]:
        return [each for each in self.messages if each.type is kind]


class Server:
    """A server on a free port.  handle: is called with every connection and its Heard."""

    def __init__(self, handle):
        self.heard: list[Heard] = []

        def handler(connection):
            heard = Heard()
            self.heard.append(heard)
            try:
                handle(connection, heard)
            except ConnectionClosed:
                pass
            finally:
                heard.closed.set()

        self._server = serve(handler, "127.0.0.1", 0, compression=None, max_size=None)
        self.port = self._server.socket.getsockname()[1]
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def address(self):
        return parse_address(f"ws://127.0.0.1:{self.port}")

    def openpi(self):
        return parse_address(f"ws+openpi://127.0.0.1:{self.port}")

    def vla_eval(self):
        """The address with its wire, which saves the second in which openpi would have spoken."""
        return parse_address(f"ws+vla-eval://127.0.0.1:{self.port}")

    def stop(self):
        self._server.shutdown()


@contextlib.contextmanager
def serving(handle):
    server = Server(handle)
    try:
        yield server
    finally:
        server.stop()


def speaking_vla_eval(answer, **about):
    """A handler that says hello, and answers each observation with what `answer(message, heard)` gives: a payload of an action, a
    Message, raw bytes, or None for silence."""

    def handle(connection, heard):
        for frame in connection:
            message = vla_eval.unpack(frame)
            heard.messages.append(message)
            if message.type is MessageType.HELLO:
                payload = vla_eval.hello("test", model_server="Test", **about)
                connection.send(vla_eval.pack(Message(MessageType.HELLO, payload, message.seq)))
            if message.type is MessageType.OBSERVATION:
                said = answer(message, heard)
                if isinstance(said, dict):
                    said = Message(MessageType.ACTION, said, message.seq)
                if said is not None:
                    connection.send(vla_eval.pack(said) if isinstance(said, Message) else said)

    return handle


def speaking_openpi(answer, **metadata):
    """As `speaking_vla_eval`; a text that `answer` gives is sent as an error, as openpi does."""

    def handle(connection, heard):
        connection.send(openpi.pack(metadata))
        for frame in connection:
            request = openpi.unpack(frame)
            heard.messages.append(request)
            said = answer(request, heard)
            if isinstance(said, dict):
                said = openpi.pack(said)
            if said is not None:
                connection.send(said)
            if isinstance(said, str):
                connection.close(openpi.INTERNAL_ERROR)
                return

    return handle


def buffered(message, heard, chunk=CHUNK):
    """Answers as a server of vla-eval with a buffer: single steps of a chunk; only its first observation is looked at."""
    number = len(heard.of(MessageType.OBSERVATION)) - 1
    if number % len(chunk) == 0:
        np.asarray(message.payload["images"]["agentview"], np.uint8)  # as every server fails without one
    return {"actions": chunk[number % len(chunk)].astype(np.float32)}


def wait_until(condition, seconds=5.0):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.005)
