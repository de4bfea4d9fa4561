"""Handling of Ctrl-C and SIGTERM in long-running commands, and workers that die with their parent."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def on_ending(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` at each of these signals while inside, instead of exiting; does nothing outside the main thread."""
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
    """In a worker: ignore Ctrl-C and SIGTERM, which reach the whole process group; the parent lets its workers finish.
    When the parent is killed, the worker is, too (Linux: PR_SET_PDEATHSIG)."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
