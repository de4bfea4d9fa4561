"""A client over the wire of vla-eval: single steps from a buffered chunk, with a query where it is empty."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from vla_bench.errors import VlaBenchError, WireError
from vla_bench.serve.limits import PATH
from vla_bench.serve.observations import Sent, read_state
from vla_bench.serve.reading import read
from vla_bench.serve.session import Failed, Played
from vla_bench.wires import own, vla_eval
from vla_bench.wires.vla_eval import Message, MessageType

NUMBERS = 2**31  # of tasks and init states


class VlaEvalWire:
    """A `Wired`.  An error answers its message, and the session goes on: its client decides what that means."""

    def __init__(self, played: Played):
        self._played = played
        self._buffer: deque[np.ndarray] = deque()
        self._path: deque[np.ndarray] = deque(maxlen=PATH)
        self._step = 0
        self._unplayable: WireError | None = WireError("no episode has begun: episode_start comes before an observation")

    async def answer(self, frame: bytes | str) -> bytes | None:
        seq = 0
        try:
            message = await read(vla_eval.unpack, frame)
            seq = message.seq
            found = await self._payload(message)
        except VlaBenchError as error:
            refusal = Message(MessageType.ERROR, {"error": error.message}, seq)
            raise Failed(error, vla_eval.pack(refusal), over=False) from None
        return None if found is None else vla_eval.pack(Message(found[0], found[1], seq))

    def close(self) -> None:
        self._played.end(None)

    async def _payload(self, message: Message) -> tuple[MessageType, Mapping[str, object]] | None:
        kind, payload = message.type, message.payload
        if kind is MessageType.HELLO:
            return MessageType.HELLO, self._played.served.hello
        if kind is MessageType.OBSERVATION:
            return MessageType.ACTION, await self._act(payload)
        if kind is MessageType.EPISODE_START:
            self._start(payload.get("task"))
        if kind is MessageType.EPISODE_END:
            metrics = payload.get("metrics")
            success = metrics.get("success") if isinstance(metrics, dict) else None
            self._played.end(success if isinstance(success, bool) else None)
            self._unplayable = WireError("the episode has ended: episode_start comes before an observation")
        return None

    def _start(self, task: object) -> None:
        """Nothing answers an episode_start, so what is wrong with it answers the episode's observations."""
        self._buffer.clear()
        self._path.clear()
        self._step = 0
        about = task if isinstance(task, dict) else {}
        try:
            suite = self._played.served.suite(about.get("suite"))
            numbers = [_number(about, name) for name in ("task_id", "episode_idx")]
        except WireError as error:
            self._unplayable = error
            return
        self._unplayable = None
        self._played.begin(suite, *numbers)

    async def _act(self, payload: Mapping[str, object]) -> dict[str, object]:
        if self._unplayable is not None:
            raise self._unplayable
        state = payload.get(vla_eval.STATES)
        if state is not None:
            self._path.append(read_state(state)[:3])
        query: dict[str, object] = {}
        if not self._buffer:
            answer = await self._played.query(self._sent(payload), self._step, np.array(self._path) if self._path else None)
            self._path.clear()
            query = {own.QUERY: answer.query.to_dict()}
            if payload.get(own.WHOLE_CHUNK) is True:
                self._step += len(answer.actions)
                return {vla_eval.ACTIONS: answer.actions} | query
            self._buffer.extend(answer.actions)
        self._step += 1
        return {vla_eval.ACTIONS: self._buffer.popleft()} | query

    def _sent(self, payload: Mapping[str, object]) -> Sent:
        images = payload.get(vla_eval.IMAGES)
        names = (vla_eval.AGENTVIEW, vla_eval.WRIST)[: len(self._played.served.cameras)]
        if not isinstance(images, dict) or (lacking := [name for name in names if name not in images]):
            missing = ", ".join(lacking) if isinstance(images, dict) else vla_eval.IMAGES
            raise WireError(
                f"the observation has no {missing}: it has {', '.join(map(str, images or payload))[:200] or 'nothing'}"
            )
        return Sent(
            payload.get(vla_eval.TASK),
            {name: images[name] for name in names},
            payload.get(vla_eval.STATES),
            payload.get(own.STEP),
            payload.get(own.PATH),
        )


def _number(about: Mapping[str, object], name: str) -> int:
    value = about.get(name, 0)
    if type(value) is not int or not 0 <= value < NUMBERS:
        raise WireError(f"the task's {name} is {value!r:.60}, not a number from 0")
    return value
