"""How many CPU threads a model gets beside the simulators."""

from __future__ import annotations

import os

SMALL = 100_000_000  # parameters; the layers of a smaller model are done before a second thread has woken up


def thread_count(free: int, parameters: int) -> int:
    """Threads for torch.  free: cores that no simulator occupies.

    OMP_NUM_THREADS decides where it is set.  A small model gets one: on a busy machine its threads would wait for each other at
    the end of every operation, ten times as long as the operation takes (results/latency/threads.md).
    """
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return 1 if is_small(parameters) else max(1, free)


def is_small(parameters: int) -> bool:
    """Whether a second thread does not help."""
    return parameters < SMALL
