"""The server: connections, which wire each of them speaks, limits, and an end in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from vla_bench.errors import WireError
from vla_bench.serve import limits
from vla_bench.serve.batcher import Batcher
from vla_bench.serve.copies import Copy, Here
from vla_bench.serve.http import pages
from vla_bench.serve.openpi_wire import OpenpiWire
from vla_bench.serve.reading import read
from vla_bench.serve.served import Served
from vla_bench.serve.session import Failed, Played, Wired
from vla_bench.serve.vla_eval_wire import VlaEvalWire
from vla_bench.wires import openpi, vla_eval
from vla_bench.wires.frames import decode_map

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

Result = TypeVar("Result")
GOING_AWAY, TRY_AGAIN_LATER = 1001, 1013  # codes of a close


class Server:
    """Serves a policy at a bound socket.

    others: copies of it beside the policy itself; a session stays with one, so that a pruner's memory of an episode does.
    sessions: how many there may be at a time.
    log: receives a line where something is worth one.
    idle_s: in which a session has sent something.
    """

    def __init__(
        self,
        served: Served,
        listening: socket.socket,
        others: Sequence[Copy] = (),
        *,
        sessions: int = limits.SESSIONS,
        log: Callable[[str], None] = lambda line: None,
        idle_s: float = limits.IDLE_S,
    ):
        self._served, self._socket, self._most, self._log, self._idle_s = served, listening, sessions, log, idle_s
        self._batchers = [Batcher(copy, log) for copy in (Here(served.policy), *others)]
        self._draining = asyncio.Event()
        self._open: set[ServerConnection] = set()
        self._numbers = 0
        self._sizes: set[int] = set()  # of pictures that are resized

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serves until `drain` is called and the queries in flight are answered.  ready: called when connections are taken."""
        from websockets.asyncio.server import serve

        how = {"compression": None, "max_size": limits.FRAME, "max_queue": limits.WAITING, "ping_interval": None}
        # No Origin: a page in somebody's browser is no client.
        how |= {"origins": [None], "server_header": None}
        answering = [asyncio.create_task(batcher.run()) for batcher in self._batchers]
        try:
            server = await serve(self._converse, sock=self._socket, process_request=self._pages, **how)
            ready()
            await self._draining.wait()
            server.close(close_connections=False)
            await server.wait_closed()
        finally:
            for task, batcher in zip(answering, self._batchers, strict=True):
                task.cancel()
                batcher.close()

    def drain(self) -> None:
        """No new session; the queries in flight are answered, and `run` returns."""
        self._draining.set()

    @property
    def _pages(self):
        config = self._served.hello | {"sessions": self._most, "frame_bytes": limits.FRAME, "idle_s": self._idle_s}
        return pages(self._health, config, self._refusal)

    def _health(self) -> dict[str, object]:
        status = "draining" if self._draining.is_set() else "ok"
        counts = {name: sum(getattr(each, name) for each in self._batchers) for name in ("queries", "batches", "waiting")}
        return {"status": status, "sessions": len(self._open), "copies": len(self._batchers), **counts}

    def _quietest(self) -> Batcher:
        """That of the copy with the fewest sessions; the policy of this process never breaks."""
        return min((each for each in self._batchers if not each.broken), key=lambda each: each.sessions)

    def _refusal(self) -> str | None:
        if self._draining.is_set():
            return "this server is ending"
        return f"there are {self._most} sessions, and no more are taken" if len(self._open) >= self._most else None

    def _see_size(self, size: int) -> None:
        if size not in self._sizes and self._served.policy.image_size not in (None, size):
            self._sizes.add(size)
            self._log(f"pictures of {size} pixels a side: {self._served.pictures}")

    async def _converse(self, connection: ServerConnection) -> None:
        """One connection, from its first frame to its end."""
        from websockets.exceptions import ConnectionClosed

        if self._refusal() is not None:  # many came at once
            await connection.close(TRY_AGAIN_LATER, "no further sessions are taken")
            return
        self._numbers += 1
        number, wire = self._numbers, None
        self._open.add(connection)
        batcher = self._quietest()
        batcher.sessions += 1
        try:
            played = Played(self._served, batcher, self._see_size)
            frame = await self._first_frame(connection)
            if frame is not None:
                wire = VlaEvalWire(played) if await _speaks_vla_eval(frame) else OpenpiWire(played)
                await self._talk(connection, wire, frame, number)
        except ConnectionClosed:
            pass
        finally:
            self._open.discard(connection)
            batcher.sessions -= 1
            if wire is not None:
                wire.close()

    async def _first_frame(self, connection: ServerConnection) -> bytes | str | None:
        """A client of vla-eval speaks first; where nothing is heard it is one of openpi, which waits for the metadata."""
        with suppress(asyncio.TimeoutError):
            return await asyncio.wait_for(connection.recv(), limits.QUIET_S)
        await connection.send(openpi.pack(self._served.metadata))
        return await self._next(connection)

    async def _talk(self, connection: ServerConnection, wire: Wired, frame: bytes | str | None, number: int) -> None:
        """Frame by frame until the client or the server ends it.  Raises ConnectionClosed."""
        failed_before = False
        while frame is not None:
            over = False
            try:
                answer = await _unless_gone(connection, wire.answer(frame))
            except Failed as failure:
                answer, over = failure.frame, failure.over
                if not failed_before:
                    self._log(f"session {number}: {failure}")
                failed_before = True
            if answer is not None:
                await asyncio.wait_for(connection.send(answer), limits.SEND_S)
            if over:
                await connection.close(openpi.INTERNAL_ERROR)
                return
            frame = await self._next(connection)

    async def _next(self, connection: ServerConnection) -> bytes | str | None:
        """The next frame; None, and the connection closed, where none came in time, or the server ends."""
        frame = asyncio.ensure_future(connection.recv())
        ending = asyncio.ensure_future(self._draining.wait())
        await asyncio.wait({frame, ending}, timeout=self._idle_s, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if frame.done() and not self._draining.is_set():
            return frame.result()
        frame.cancel()
        await asyncio.wait({frame})
        why = "this server is ending" if self._draining.is_set() else f"nothing came for {self._idle_s:g} s"
        await connection.close(GOING_AWAY, why)
        return None


async def _speaks_vla_eval(frame: bytes | str) -> bool:
    """By its first frame; what nobody can read is answered as by openpi, with a text."""
    try:
        return vla_eval.is_message(await read(decode_map, frame)) if isinstance(frame, bytes) else False
    except WireError:
        return False


async def _unless_gone(connection: ServerConnection, work: Coroutine[object, object, Result]) -> Result:
    """The result of `work`, which is cancelled where the client goes away.  Raises ConnectionClosed then."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(connection.wait_closed())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            await connection.send(b"")  # raises ConnectionClosed, with the reason
        return await task
    finally:
        gone.cancel()
        if not task.done():
            task.cancel()
