"""A session over the wire of openpi."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from vla_bench.errors import WireError
from vla_bench.policies.remote.actions import read_actions
from vla_bench.policies.remote.connection import Connection
from vla_bench.policies.remote.observation import Wanted, for_openpi
from vla_bench.policies.remote.own_query import read_query
from vla_bench.policies.remote.session import HELLO_S, Answered
from vla_bench.wires import openpi
from vla_bench.wires.own import read_about
from vla_bench.world.observation import Observation


class OpenpiSession:
    """A `Session`.

    hello: the server's metadata, which come without being asked for.
    """

    def __init__(self, connection: Connection, cameras: Sequence[str], chunk: int | None = None):
        self._connection, self._cameras, self._chunk = connection, cameras, chunk
        self.hello = openpi.unpack(connection.receive(time.monotonic() + HELLO_S))
        self._own = read_about(self.hello) is not None

    def start(self, observation: Observation) -> None:
        """This wire knows no episodes."""

    def ask(self, observation: Observation, wanted: Wanted) -> None:
        self._connection.send(openpi.pack(for_openpi(observation, self._cameras)))

    def answer(self, until: float) -> Answered:
        answer = openpi.unpack(self._connection.receive(until))
        actions = np.atleast_2d(read_actions(answer))
        if self._chunk not in (None, len(actions)):
            raise WireError(f"--chunk {self._chunk}: the server answers chunks of {len(actions)} steps")
        return Answered(actions, _times(answer.get(openpi.SERVER_TIMING)), read_query(answer) if self._own else None)

    def end(self, success: bool | None) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()


def _times(timing: object) -> dict[str, float]:
    """The server's own time for the answer, where it says one."""
    infer = timing.get("infer_ms") if isinstance(timing, dict) else None
    return {"server": float(infer)} if isinstance(infer, (int, float)) and 0 <= infer < 1e9 else {}
