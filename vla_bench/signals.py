"""Ctrl-C, SIGTERM and SIGHUP: how a command is asked to end, and workers that die with their parent."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import ClassVar

from vla_bench.errors import ExitCode

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
LIMIT_S = 9.0  # after which a command that was asked to end is gone, whatever it is doing
AGAIN_S = 0.5  # an Interrupted that was swallowed, as in a destructor, is raised again


class Interrupted(BaseException):
    """A signal asked to end, and the time to do so in order is over.  No Exception: nobody on the way handles it as an error."""


class Interruptible:
    """These signals while inside: the first one asks to end, and Interrupted is raised `grace_s` seconds later or at the second.

    Where one is inside another, the inner one acts, and the outer one is told.  Does nothing outside the main thread.

    Args:
        first: called at the first signal.
        grace_s: 0 to raise at the first signal; None to raise never.
        say: written to standard error at the first signal, at once.
        limit_s, last_words: the process exits this long after the first signal, whatever it is doing; for a command's outermost.

    asked: how many signals came.
    """

    _innermost: ClassVar[Interruptible | None] = None

    def __init__(
        self,
        first: Callable[[], None] = lambda: None,
        *,
        grace_s: float | None = 0.0,
        say: str = "",
        limit_s: float | None = None,
        last_words: str = "",
    ):
        self.asked = 0
        self._first = first
        self._grace_s = grace_s
        self._say = say
        self._limit_s = limit_s
        self._last_words = last_words
        self._due = False
        self._holds = 0
        self._outer: Interruptible | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interruptible:
        if threading.current_thread() is threading.main_thread():
            self._outer, Interruptible._innermost = Interruptible._innermost, self
            self._before = {number: signal.signal(number, self._on_signal) for number in heeded()}
            if self._outer is not None and self._outer.asked:
                self.asked = self._outer.asked
                self._obey()
        return self

    def __exit__(self, *_) -> None:
        self._holds += 1
        if self._before:
            for number, handler in self._before.items():
                if number == getattr(signal, "SIGALRM", None):
                    signal.setitimer(signal.ITIMER_REAL, 0)
                signal.signal(number, handler)
            Interruptible._innermost = self._outer

    @contextmanager
    def held(self) -> Iterator[None]:
        """No Interrupted inside, as while a line is written; one that is due is raised at the end."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
            self._raise_if_due()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Within `held`: what may be broken off all the same."""
        holds, self._holds = self._holds, 0
        try:
            self._raise_if_due()
            yield
        finally:
            self._holds = holds

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        _leave_lost_terminal(number)
        each: Interruptible | None = self
        while each is not None:
            each.asked += 1
            if each._limit_s is not None and each.asked == 1:
                threading.Thread(target=_exit_after, args=(each._limit_s, each._last_words), daemon=True).start()
            each = each._outer
        self._obey()

    def _obey(self) -> None:
        if self.asked == 1:
            _write(self._say)
            self._first()
            if self._grace_s and hasattr(signal, "setitimer"):
                self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._on_alarm)
                signal.setitimer(signal.ITIMER_REAL, self._grace_s, AGAIN_S)
        if self._grace_s is not None and (self.asked > 1 or not self._grace_s):
            self._on_alarm()

    def _on_alarm(self, *_) -> None:
        self._due = True
        self._raise_if_due()

    def _raise_if_due(self) -> None:
        if self._due and not self._holds:
            raise Interrupted


@contextmanager
def on_ending(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` at each of these signals while inside, instead of exiting; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        _leave_lost_terminal(number)
        act()

    before = {number: signal.signal(number, handle) for number in heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def heeded() -> list[int]:
    """All of them, but for a SIGHUP that `nohup` has switched off."""
    return [number for number in ENDING if number == signal.SIGINT or signal.getsignal(number) is not signal.SIG_IGN]


def ignore() -> None:
    """From here on nothing asks to end: the exit code is decided, and what is left is Python's own exit."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def not_yet() -> Iterator[None]:
    """These signals wait, in this process and in those that are begun inside, until `serve_parent` there and the end here."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve_parent() -> None:
    """In a worker: ignore these signals, which reach the whole process group; the parent lets its workers finish.
    When the parent is killed, the worker is, too (Linux: PR_SET_PDEATHSIG)."""
    ignore()
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _leave_lost_terminal(number: int) -> None:
    """After a SIGHUP the terminal is gone, and what is written there would be an error."""
    if number == getattr(signal, "SIGHUP", None):
        for descriptor in (1, 2):
            if stat.S_ISCHR(os.fstat(descriptor).st_mode) and not os.isatty(descriptor):
                os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _write(text: str) -> None:
    """To standard error, from a signal handler: its buffer may be in use."""
    try:
        os.write(2, f"\n{text}\n".encode() if text else b"")
    except OSError:
        pass


def _exit_after(seconds: float, last_words: str) -> None:
    time.sleep(seconds)
    _write(last_words)
    os._exit(ExitCode.INTERRUPTED)
