"""Suite weights: how often each task is drawn, independent of number and length of its demonstrations."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from vla_bench.errors import UsageError
from vla_bench.suites import load_suites, suite_names

FIX = "vla-bench train --shares long=3 ..."


def parse_shares(text: str) -> dict[str, float]:
    """`long=3,object=0.5` as a dictionary; a suite that is not named has share 1.  Raises UsageError."""
    shares = dict.fromkeys(suite_names(), 1.0)
    for part in filter(None, text.split(",")):
        name, _, value = (piece.strip() for piece in part.partition("="))
        try:
            share = float(value)
        except ValueError:
            share = math.nan
        if name not in shares or not 0 < share < math.inf:
            raise UsageError(f'"{part}" gives no suite a share: SUITE=NUMBER with {", ".join(shares)}', FIX)
        shares[name] = share
    return shares


def balanced(weights: np.ndarray, task: np.ndarray, suites: Sequence[str], shares: dict[str, float]) -> np.ndarray:
    """`weights` (N,) scaled so that every suite adds up to its share and the tasks of a suite to equal parts of it.

    task: (N,) index into `suites`, LIBERO's name of every task's suite.
    """
    names = {
        suite.libero_name: suite.name for suite in reversed(load_suites())
    }  # built-in suites before others with the same tasks
    total = np.bincount(task, weights, minlength=len(suites))
    share = np.array([shares.get(names.get(suite, suite), 1.0) / suites.count(suite) for suite in suites])
    return weights * (share / np.maximum(total, np.finfo(float).tiny))[task]
