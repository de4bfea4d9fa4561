"""The policy behind a policy server."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vla_bench.errors import UsageError, VlaBenchError, WireError
from vla_bench.policies.base import Chunk, Policy
from vla_bench.policies.remote.connection import Connection
from vla_bench.policies.remote.observation import IMAGE_SIZE, Wanted
from vla_bench.policies.remote.openpi_session import OpenpiSession
from vla_bench.policies.remote.said import UNKNOWN, said
from vla_bench.policies.remote.session import Answered, Session
from vla_bench.policies.remote.terms import read_hello
from vla_bench.policies.remote.vla_eval_session import VlaEvalSession
from vla_bench.records import EpisodeKey
from vla_bench.suites import Suite
from vla_bench.wires import openpi
from vla_bench.wires.address import Address, Wire
from vla_bench.wires.own import read_about
from vla_bench.world.observation import Observation, Sight

DETECT_S = 1.0  # in which a server of openpi has spoken
ANSWER_S = 120.0
FIRST_ANSWER_S = 600.0  # the first one waits for the server's compiler
SESSIONS: Mapping[Wire, type[Session]] = {Wire.VLA_EVAL: VlaEvalSession, Wire.OPENPI: OpenpiSession}


class RemotePolicy(Policy):
    """Asks a server, over one connection an episode.

    A failed episode fails alone: the others have connections of their own.

    Args:
        suites: those that it will act in.
        chunk: steps of the server's chunks; None for what it answers.
        open_loop_steps: how many of them are executed before the next observation; None for all.
        answer_s, first_answer_s: how long an answer may take, and as long as none has come.

    Raises WireError where no server answers, UsageError for a server that wants what the suites do not have.
    """

    sight = Sight.IMAGES
    image_size = IMAGE_SIZE

    def __init__(
        self,
        address: Address,
        suites: Sequence[Suite],
        *,
        chunk: int | None = None,
        open_loop_steps: int | None = None,
        answer_s: float = ANSWER_S,
        first_answer_s: float = FIRST_ANSWER_S,
    ):
        if chunk is not None and open_loop_steps is not None and open_loop_steps > chunk:
            what = f"--open-loop-steps {open_loop_steps} of a chunk of {chunk}"
            raise UsageError(what, instead={"--open-loop-steps": str(chunk)})
        self.name = str(address)
        self._address, self._cameras = address, suites[0].cameras
        self._answer_s, self._first_answer_s, self._heard = answer_s, first_answer_s, False
        self._chunk, self._open_loop_steps = chunk, open_loop_steps
        self._sessions: dict[EpisodeKey, Session] = {}
        self._wire, hello = detect(address, self._cameras)
        self._said = said(hello)
        about = read_about(hello)
        self._wanted = read_hello(hello, suites) if self._wire is Wire.VLA_EVAL else Wanted(wrist=True, state=True)
        if about is not None:
            self.visual_tokens = about.visual_tokens
        if self._wire is Wire.VLA_EVAL and about is not None and about.camera_size is not None:
            self.image_size = about.camera_size
        self.identity = {
            **({} if about is None else about.policy),
            "wire": self._wire.value,
            "server": self._said,
            "weights": UNKNOWN if about is None else about.weights,
            "chunk": chunk,
            "open_loop_steps": open_loop_steps,
            "image_size": openpi.IMAGE_SIZE if self._wire is Wire.OPENPI else self.image_size,
        }

    @property
    def card(self) -> tuple[tuple[str, str], ...]:
        name, weights = self._said.get("model_server"), self.identity["weights"]
        seen = ["agentview", *(["wrist"] if self._wanted.wrist else []), *(["state"] if self._wanted.state else [])]
        turn = ", axis-angle of the shortest turn" if self._wanted.shortest_turn else ""
        each = (
            "an observation a step where it answers single steps" if self._chunk is None else f"an observation for {self._chunk}"
        )
        steps = "all of an answer" if self._open_loop_steps is None else f"{self._open_loop_steps} of an answer"
        return (
            ("server", f"{name or 'a policy server'}, over the wire of {self._wire.value}"),
            ("weights", f"{weights} (a server does not say)" if weights == UNKNOWN else f"{weights} (the server says)"),
            ("it sees", f"{', '.join(seen)}, instruction; {self.identity['image_size']} pixels, turned by 180 degrees{turn}"),
            ("open loop", f"{steps}; {each}"),
        )

    def reset(self, episode: EpisodeKey) -> None:
        self.end(episode, None)

    def end(self, episode: EpisodeKey, success: bool | None) -> None:
        if (session := self._sessions.pop(episode, None)) is not None:
            session.end(success)

    def close(self) -> None:
        while self._sessions:
            self._sessions.popitem()[1].close()

    def act(self, observations: Sequence[Observation]) -> list[Chunk | VlaBenchError]:
        """All sessions are opened before anything is asked, since servers accept no connection while they compute; all
        observations are sent before an answer is awaited."""
        results: list[Answered | VlaBenchError | None] = [None] * len(observations)
        for step in (self._open, self._ask, self._answer):
            self._until = time.monotonic() + (self._answer_s if self._heard else self._first_answer_s)
            for i, observation in enumerate(observations):
                if not isinstance(results[i], VlaBenchError):
                    results[i] = self._try(step, observation)
        return [each if isinstance(each, VlaBenchError) else _chunk(each) for each in results]

    def _try(self, step: Callable[[Observation], Answered | None], observation: Observation) -> Answered | None | VlaBenchError:
        """What the step returns, or the error with which this episode's session is over."""
        try:
            return step(observation)
        except VlaBenchError as error:
            if (session := self._sessions.pop(observation.episode, None)) is not None:
                session.close()
            return error

    def _open(self, observation: Observation) -> None:
        if observation.episode not in self._sessions:
            session = self._sessions[observation.episode] = self._connected()
            session.start(observation)

    def _ask(self, observation: Observation) -> None:
        self._sessions[observation.episode].ask(observation, self._wanted)

    def _answer(self, observation: Observation) -> Answered:
        answered = self._sessions[observation.episode].answer(self._until)
        self._heard = True
        steps, count = self._open_loop_steps, len(answered.actions)
        if steps is not None and steps > count:
            raise WireError(f"--open-loop-steps {steps}: the server answers {count} step{'s' if count > 1 else ''}")
        return replace(answered, actions=answered.actions[:steps])

    def _connected(self) -> Session:
        session = connected(self._address, self._wire, self._cameras, self._chunk)
        if (now := said(session.hello)) != self._said:
            session.close()
            raise WireError(f"{self._address.url} is another server than when the run began: {now}, before: {self._said}")
        return session


def _chunk(answered: Answered) -> Chunk:
    query = answered.query
    if query is None:
        return Chunk(answered.actions, stages_ms=answered.stages_ms)
    return Chunk(answered.actions, query.kept, query.stages_ms, query.prompt_tokens, query.gflops, query.trace)


def detect(address: Address, cameras: Sequence[str]) -> tuple[Wire, Mapping[str, object]]:
    """The wire of the server at `address`, and what it says of itself.  Raises WireError.

    A server of openpi speaks first; where nothing is heard it is one of vla-eval, which answers a hello.
    """
    if address.wire is not None:
        session = connected(address, address.wire, cameras)
        session.close()
        return address.wire, session.hello
    connection = Connection(address)
    try:
        frame = connection.receive_or_none(time.monotonic() + DETECT_S)
        if frame is None:
            return Wire.VLA_EVAL, VlaEvalSession(connection, cameras).hello
        metadata = openpi.unpack(frame)
    finally:
        connection.close()
    wires = metadata.get(openpi.WIRES)
    if isinstance(wires, list) and Wire.VLA_EVAL.value in wires:  # it has episodes
        session = connected(address, Wire.VLA_EVAL, cameras)
        session.close()
        return Wire.VLA_EVAL, session.hello
    return Wire.OPENPI, metadata


def connected(address: Address, wire: Wire, cameras: Sequence[str], chunk: int | None = None) -> Session:
    """A new session.  Raises WireError."""
    connection = Connection(address)
    try:
        return SESSIONS[wire](connection, cameras, chunk)
    except VlaBenchError:
        connection.close()
        raise
