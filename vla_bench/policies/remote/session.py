"""A session with a policy server: one connection for one episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vla_bench.policies.remote.connection import Connection
from vla_bench.policies.remote.observation import Wanted
from vla_bench.query_record import QueryRecord
from vla_bench.world.observation import Observation

HELLO_S = 30.0  # for the first words of a server


@dataclass(frozen=True)
class Answered:
    """The answer to an observation.

    actions: (T, 7).
    stages_ms: what the server says of its own time.
    query: what a server of vla-bench says of the query.
    """

    actions: np.ndarray
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    query: QueryRecord | None = None


class Session(Protocol):
    """A session over one of the wires.  Each method but `end` and `close` raises WireError for what fails there.

    Asking and answering are apart, so that the observations of all episodes are with the server before an answer is awaited.

    cameras: the suite's, that of the scene first, then the wrist's.
    chunk: steps that the server's chunks have, where that was given.
    hello: what the server says of itself.
    """

    hello: Mapping[str, object]

    def __init__(self, connection: Connection, cameras: Sequence[str], chunk: int | None = None): ...

    def start(self, observation: Observation) -> None:
        """The episode of `observation` begins."""

    def ask(self, observation: Observation, wanted: Wanted) -> None:
        """Send an observation."""

    def answer(self, until: float) -> Answered:
        """The answer to what was asked; until: time.monotonic() at which it counts as lost."""

    def end(self, success: bool | None) -> None:
        """The episode is over, and the session with it.  success: None where it ended in an error."""

    def close(self) -> None:
        """End the connection without a word."""
