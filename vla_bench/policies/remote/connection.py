"""One connection to a policy server.  Whatever fails on it is a WireError that says how."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import ExitStack

from vla_bench.errors import UsageError, WireError
from vla_bench.wires.address import Address
from vla_bench.wires.frames import FRAME

OPEN_S = 10.0
SEND_S = 30.0  # for which a server may read nothing
CLOSE_S = 1.0
WAITING = 4  # frames that wait to be read
LONGEST_REASON = 200


def check_installed(wanted: str = "--model ws://HOST:PORT") -> None:
    """Raises UsageError where the packages of the extra `remote` are missing.  wanted: what needs them."""
    try:
        import msgpack  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        what = f"{wanted} needs {error.name}, which is not installed"
        raise UsageError(what, "pip install 'vla-bench[remote]'") from error


class Connection:
    """An open connection.  Raises WireError where none can be made."""

    def __init__(self, address: Address):
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect

        self._address = address
        self._open = ExitStack()
        how = {"compression": None, "max_size": FRAME, "max_queue": WAITING, "proxy": None}
        # A server that compiles its model answers no pings; how long an answer may take is the session's business.
        times = {"open_timeout": OPEN_S, "close_timeout": CLOSE_S, "ping_interval": None}
        try:
            self._socket = self._open.enter_context(connect(address.url, **how, **times))
        except TimeoutError:
            raise WireError(f"nothing answers at {address.url} within {OPEN_S:.0f} s", address.health) from None
        except OSError as error:
            raise WireError(f"nothing answers at {address.url}: {error.strerror or error}", address.health) from None
        except (WebSocketException, EOFError) as error:
            raise WireError(f"no policy server answers at {address.url}: {_first_line(error)}", address.health) from None
        self._socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(SEND_S), 0))

    def send(self, frame: bytes) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            self._socket.send(frame)
        except ConnectionClosed as error:
            raise self._closed(error) from None

    def receive(self, until: float) -> bytes | str:
        """The next frame; until: time.monotonic() at which it counts as lost.  Raises WireError."""
        frame = self.receive_or_none(until)
        if frame is None:
            raise WireError(f"{self._address.url} sent no answer in time")
        return frame

    def receive_or_none(self, until: float) -> bytes | str | None:
        """The next frame; None where none came.  Raises WireError for a connection that was closed."""
        from websockets.exceptions import ConnectionClosed

        try:
            return self._socket.recv(timeout=max(0.0, until - time.monotonic()))
        except TimeoutError:
            return None
        except ConnectionClosed as error:
            raise self._closed(error) from None

    def close(self) -> None:
        self._open.close()

    def _closed(self, error: Exception) -> WireError:
        return WireError(f"the connection to {self._address.url} was lost: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:LONGEST_REASON]
