"""A session over the wire of vla-eval."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from vla_bench import __version__
from vla_bench.errors import WireError
from vla_bench.policies.remote.actions import read_actions
from vla_bench.policies.remote.connection import Connection
from vla_bench.policies.remote.observation import Wanted, for_own, for_vla_eval
from vla_bench.policies.remote.own_query import read_query
from vla_bench.policies.remote.session import HELLO_S, Answered
from vla_bench.query_record import QueryRecord
from vla_bench.suites import load_suite
from vla_bench.wires import own, vla_eval
from vla_bench.wires.vla_eval import Message, MessageType
from vla_bench.world.observation import Observation

LONGEST_ERROR = 2000


class VlaEvalSession:
    """A `Session`.

    chunk: of a server that buffers its chunk and answers single steps, how many it has after an observation.  All are drawn at
        once, so that nothing is rendered in between; None to send an observation at every step.
    """

    def __init__(self, connection: Connection, cameras: Sequence[str], chunk: int | None = None):
        self._connection, self._cameras, self._chunk = connection, cameras, chunk
        self._seq = 0
        self._asked: list[int] = []
        self._started, self._steps = time.monotonic(), 0
        self._send(MessageType.HELLO, vla_eval.hello(f"vla-bench {__version__}"))
        message = vla_eval.unpack(connection.receive(time.monotonic() + HELLO_S))
        if message.type is not MessageType.HELLO:
            raise WireError(f"the server answered hello with {message.type.value}: {_error_text(message.payload)}")
        self.hello = dict(message.payload)
        self._own = own.read_about(self.hello) is not None

    def start(self, observation: Observation) -> None:
        """An episode begins; the server says nothing to it."""
        key = observation.episode
        name = load_suite(key.suite).libero_name
        task = {"name": observation.instruction, "suite": name, "task_id": key.task_id, "episode_idx": key.init_state}
        self._send(MessageType.EPISODE_START, {"task": task})

    def ask(self, observation: Observation, wanted: Wanted) -> None:
        # With this a buffered action is asked for.  A server without one must fail, not act: that of pi0 takes black pictures for
        # pictures that are missing, so there is one, which is none.
        self._nothing = {vla_eval.IMAGES: {vla_eval.AGENTVIEW: None}, vla_eval.TASK: observation.instruction}
        payload = for_vla_eval(observation, self._cameras, wanted) | (for_own(observation) if self._own else {})
        self._asked = [self._send(MessageType.OBSERVATION, payload)]

    def answer(self, until: float) -> Answered:
        first, query = self._action(self._asked[0], until)
        if first.ndim == 2:
            if self._chunk not in (None, len(first)):
                raise WireError(f"--chunk {self._chunk}: the server answers whole chunks, of {len(first)} steps")
            return Answered(first, query=query)
        buffered = [first]
        asked = [self._send(MessageType.OBSERVATION, self._nothing) for _ in range((self._chunk or 1) - 1)]
        for seq in asked:
            try:
                buffered.append(self._action(seq, until)[0])
            except WireError as error:
                what = f"--chunk {self._chunk}: no action {len(buffered) + 1} without a new observation; has the server so many?"
                raise WireError(f"{what} {error.message}") from None
        return Answered(np.stack(buffered))

    def end(self, success: bool | None) -> None:
        """The episode is over.  success: None where it ended in an error."""
        try:
            self._send(MessageType.EPISODE_END, {"metrics": {"success": bool(success)}})
        except WireError:
            pass  # it is gone, and so is its memory of the episode
        self.close()

    def close(self) -> None:
        self._connection.close()

    def _send(self, kind: MessageType, payload: Mapping[str, object]) -> int:
        self._seq += 1
        self._connection.send(vla_eval.pack(Message(kind, payload, self._seq)))
        return self._seq

    def _action(self, seq: int, until: float) -> tuple[np.ndarray, QueryRecord | None]:
        message = vla_eval.unpack(self._connection.receive(until))
        if message.type is MessageType.ERROR:
            raise WireError(f"the server failed: {_error_text(message.payload)}")
        if message.type is not MessageType.ACTION or message.seq != seq:
            raise WireError(f"the server answered observation {seq} with {message.type.value} {message.seq}")
        actions = read_actions(message.payload)
        if actions.ndim == 2 and seq != self._asked[0]:
            raise WireError(f"the server answered with a chunk of {len(actions)} steps after a single one")
        return actions, read_query(message.payload) if self._own else None


def _error_text(payload: Mapping[str, object]) -> str:
    return str(payload.get("error", payload))[-LONGEST_ERROR:]
