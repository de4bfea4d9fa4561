"""The address of a policy server, as `--model` takes it: ws://HOST:PORT, or ws+openpi://HOST:PORT to give its wire."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from vla_bench.errors import UsageError


class Wire(str, Enum):
    """How a policy server speaks."""

    VLA_EVAL = "vla-eval"
    OPENPI = "openpi"


@dataclass(frozen=True)
class Address:
    """Where a server is.  secure: over TLS.  wire: None to find out."""

    host: str
    port: int
    path: str = ""
    secure: bool = False
    wire: Wire | None = None

    @property
    def url(self) -> str:
        """What a connection is made to."""
        return f"{'wss' if self.secure else 'ws'}://{self._place}{self.path}"

    @property
    def health(self) -> str:
        """The command that asks whether anything answers there; the wires differ in the page's name."""
        page = "healthz" if self.wire is Wire.OPENPI else "health"
        return f"curl --max-time 5 {'https' if self.secure else 'http'}://{self._place}/{page}"

    @property
    def _place(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def __str__(self) -> str:
        """As it is given and recorded."""
        return self.url if self.wire is None else self.url.replace("://", f"+{self.wire.value}://", 1)


def is_address(name: str) -> bool:
    """Whether the name of a model is meant as an address."""
    return re.match(r"wss?(\+[\w-]*)?:", name) is not None


def parse_address(text: str) -> Address:
    """Raises UsageError for what is no address of a policy server."""
    scheme, _, wire = text.partition(":")[0].partition("+")
    wires = [each.value for each in Wire]
    if wire and wire not in wires:
        raise UsageError(
            f'no wire is called "{wire}": there are {", ".join(wires)}', instead={"--model": f"{scheme}{text[text.find(':') :]}"}
        )
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"{text} is no address: {error}", instead={"--model": "ws://HOST:PORT"}) from None
    if parts.username is not None or parts.query or parts.fragment:
        raise UsageError(
            f"{text}: an address is recorded with the run, and has host, port and path alone", "--model ws://HOST:PORT"
        )
    if not host or not port:
        lacks = f"{text} names no {'port' if host else 'host'}"
        raise UsageError(lacks, instead={"--model": f"ws://{host or 'HOST'}:8000"})
    return Address(host, port, parts.path.rstrip("/"), scheme == "wss", Wire(wire) if wire else None)
