"""Loads a policy, binds a port and serves until a signal ends it."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace

from vla_bench.environment import cpu_count
from vla_bench.errors import ExitCode, UsageError, VlaBenchError
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import make_policy, resolve_choice
from vla_bench.policies.remote.connection import check_installed
from vla_bench.policies.resolve import ModelKind
from vla_bench.serve.copies import Apart, count_copies
from vla_bench.serve.limits import SESSIONS
from vla_bench.serve.served import Served
from vla_bench.serve.server import Server
from vla_bench.signals import on_ending
from vla_bench.suites import load_suite

PORT = 8000


@dataclass(frozen=True)
class ServeRequest:
    """host, port: where it listens.  sessions: most at a time.  copies: of the model; None for what keeps the cores busy."""

    choice: ModelChoice
    host: str = "127.0.0.1"
    port: int = PORT
    sessions: int = SESSIONS
    copies: int | None = None


def serve(request: ServeRequest, say: Callable[[str], None], log: Callable[[str], None]) -> None:
    """Serves until Ctrl-C or SIGTERM, which lets queries in flight be answered; a second one exits with code 130 at once.

    say: receives what is served, and where.  log: receives what happens.
    Raises UsageError, and VlaBenchError where the port is taken or the model cannot be loaded.
    """
    check_installed("serve")
    if request.sessions < 1:
        raise UsageError(f"--max-sessions must be above 0, not {request.sessions}", instead={"--max-sessions": str(SESSIONS)})
    model = resolve_choice(request.choice)
    choice = replace(request.choice, threads=cpu_count())
    if model.kind is ModelKind.REMOTE:
        raise UsageError(f"{model.name} is a policy server already", instead={"--model": "nano"})
    with bound(request.host, request.port) as listening:
        policy = make_policy(choice, model=model)
        others: list[Apart] = []
        try:
            served = Served(policy, [load_suite(name) for name in request.choice.suites])
            others += [Apart(choice, model) for _ in range(1, count_copies(request.copies, policy, cpu_count()))]
            for line in _card(served, request, listening, 1 + len(others)):
                say(line)
            for each in others:
                each.check(policy.identity)
            asyncio.run(_until_ended(Server(served, listening, others, sessions=request.sessions, log=log), say))
        finally:
            for each in others:
                each.close()
            policy.close()


def bound(host: str, port: int) -> socket.socket:
    """A socket that is bound and does not listen yet: a taken port is told before a model is loaded.  Raises VlaBenchError."""
    if not 0 <= port < 65536:
        raise UsageError(f"--port {port}: ports are 0 (any that is free) to 65535", instead={"--port": str(PORT)})
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(f"--host {host:.100} is no address of this machine: {error}", instead={"--host": "127.0.0.1"}) from None
    found = socket.socket(family, kind)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind(address)
        return found
    except OSError as error:
        found.close()
        raise _taken(host, port, error) from None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _taken(host: str, port: int, error: OSError) -> VlaBenchError:
    if error.errno == errno.EADDRINUSE:
        return VlaBenchError(f"port {port} of {host} is in use", instead={"--port": str(port + 1)})
    return VlaBenchError(f"cannot listen at {host}, port {port}: {error.strerror or error}", instead={"--host": "127.0.0.1"})


def _card(served: Served, request: ServeRequest, listening: socket.socket, copies: int) -> list[str]:
    port = listening.getsockname()[1]
    lines = [
        *served.policy.card,
        ("pictures", served.pictures),
        ("copies", str(copies)),
        ("sessions", f"at most {request.sessions}"),
    ]
    width = max(len(name) for name, _ in lines)
    card = [f"  {name:{width}}  {value}" for name, value in lines]
    if not is_loopback(request.host):
        card.append(f"warning: whoever reaches {request.host} may ask this model; there is neither password nor encryption")
    host = f"[{request.host}]" if ":" in request.host else request.host
    return [f"model       {served.policy.name}", *card, f"address     ws://{host}:{port}, wires vla-eval and openpi"]


async def _until_ended(server: Server, say: Callable[[str], None]) -> None:
    loop, asked = asyncio.get_running_loop(), 0

    def end() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            os._exit(ExitCode.INTERRUPTED)  # the model's thread cannot be broken off
        loop.call_soon_threadsafe(server.drain)

    with on_ending(end):
        try:
            await server.run(lambda: say("ready       Ctrl-C answers what is in flight and ends; a second one ends at once"))
        except OSError as error:
            raise VlaBenchError(f"cannot listen: {error.strerror or error}", instead={"--port": str(PORT + 1)}) from None
