"""A client over the wire of openpi: a request, and the whole chunk as its answer.  There are no episodes."""

from __future__ import annotations

from vla_bench.errors import VlaBenchError, WireError
from vla_bench.serve.observations import Sent
from vla_bench.serve.reading import read
from vla_bench.serve.session import Failed, Played
from vla_bench.wires import openpi, own


class OpenpiWire:
    """A `Wired`.  An error is a text, and the end, as with openpi's own server."""

    def __init__(self, played: Played):
        self._played = played
        self._requests = 0

    async def answer(self, frame: bytes | str) -> bytes | None:
        try:
            request = await read(openpi.unpack, frame)
            if self._played.episode is None:
                self._begin()
            answer = await self._played.query(self._sent(request), self._requests)
        except VlaBenchError as error:
            raise Failed(error, error.message, over=True) from None
        self._requests += 1
        times = {"infer_ms": 1000 * answer.seconds}
        return openpi.pack({openpi.ACTIONS: answer.actions, openpi.SERVER_TIMING: times, own.QUERY: answer.query.to_dict()})

    def close(self) -> None:
        self._played.end(None)

    def _begin(self) -> None:
        policy = self._played.served.policy
        if policy.remembers:
            raise WireError(
                f"{policy.identity.get('pruner', policy.name)} remembers earlier queries of an episode, and the wire of openpi "
                "has no episodes, so it would never forget: use the wire of vla-eval, or a pruner without memory"
            )
        self._played.begin(self._played.served.suite())

    def _sent(self, request: dict[str, object]) -> Sent:
        names = (openpi.IMAGE, openpi.WRIST)[: len(self._played.served.cameras)]
        if lacking := [name for name in (*names, openpi.PROMPT) if name not in request]:
            has = ", ".join(sorted(request))[:200] or "nothing"
            raise WireError(f"the request has no {', '.join(lacking)}: it has {has}")
        return Sent(request[openpi.PROMPT], {name: request[name] for name in names}, request.get(openpi.STATE))
