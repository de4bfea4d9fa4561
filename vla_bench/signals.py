"""Ctrl-C and SIGTERM as long-running commands take them, and workers that do not outlive the process they work for."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_ending(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` at each of these signals while inside, instead of dying; outside the main thread, leave them alone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda *_: act()) for number in ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def serve_parent() -> None:
    """Ctrl-C and SIGTERM, which reach a whole group of processes, are the parent's to answer: it lets its workers finish.
    A parent that is killed must not leave its simulators behind (Linux: PR_SET_PDEATHSIG)."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
