"""Pages of the server: /health and /config, as vla-eval's clients ask for them, and /healthz, as openpi's."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response


def pages(health: Callable[[], Mapping[str, object]], config: Mapping[str, object], refusal: Callable[[], str | None]):
    """What answers a request that comes before a connection.

    health: how the server is at this moment.  config: what it serves; it cannot be changed over the network.
    refusal: why no further session is taken; None where one is.
    """

    def answer(connection: ServerConnection, request: Request) -> Response | None:
        page = urlsplit(request.path).path
        if page == "/healthz":
            return connection.respond(HTTPStatus.OK, "OK\n")
        if page in ("/health", "/config"):
            response = connection.respond(HTTPStatus.OK, json.dumps(health() if page == "/health" else config) + "\n")
            del response.headers["Content-Type"]
            response.headers["Content-Type"] = "application/json"
            return response
        if (why := refusal()) is not None:
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, f"{why}\n")
        return None

    return answer
