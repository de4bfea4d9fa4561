"""Copies of the policy, each of which answers a batch at a time: one in a thread of this process, others in their own.

A small model leaves cores unused, and several of its threads in one process would wait for each other between its many short
operations.  So on a CPU there is a copy a core; a model on a GPU, or one that uses all cores by itself, has one.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from multiprocessing import resource_tracker
from typing import Protocol, TypeVar

from vla_bench.errors import ModelError, UsageError
from vla_bench.policies.base import Policy
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import make_policy
from vla_bench.policies.resolve import ResolvedModel
from vla_bench.signals import not_yet, serve_parent

Result = TypeVar("Result")
MOST = 8
_policy: Policy  # of a process that is a copy


class Copy(Protocol):
    """A policy that does one thing after another."""

    def submit(self, work: Callable[..., Result], *arguments: object) -> Future[Result]:
        """`work(policy, *arguments)` after all that was submitted before."""

    def close(self) -> None:
        """Waits for what is under way; once more is nothing."""


class Here:
    """The policy of this process, in a thread."""

    def __init__(self, policy: Policy):
        self._policy = policy
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="policy")

    def submit(self, work: Callable[..., Result], *arguments: object) -> Future[Result]:
        return self._thread.submit(work, self._policy, *arguments)

    def close(self) -> None:
        self._thread.shutdown()


class Apart:
    """The same policy in a process of its own, which ends with this one.  It loads at once; `check` waits for it."""

    def __init__(self, choice: ModelChoice, model: ResolvedModel):
        spawn = multiprocessing.get_context("spawn")
        resource_tracker.ensure_running()  # as in `vla_bench.rollout.process`
        self._process = ProcessPoolExecutor(1, mp_context=spawn, initializer=_load, initargs=(choice, model))
        self._closed = False
        with not_yet():
            self._identity = self.submit(_identity)

    def check(self, identity: Mapping[str, object]) -> None:
        """Waits until it is loaded.  Raises VlaBenchError where it cannot be, or is not the policy with this identity."""
        try:
            found = self._identity.result()
        except BrokenProcessPool as error:
            raise ModelError("a copy of the model could not be loaded", "vla-bench serve --copies 1") from error
        if found != identity:
            raise ModelError("the model was changed while it was loaded", "vla-bench serve, once more")

    def submit(self, work: Callable[..., Result], *arguments: object) -> Future[Result]:
        return self._process.submit(_on_own, work, *arguments)

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with suppress(BrokenProcessPool):  # then there is nothing to close any more
                self.submit(_close)
            self._process.shutdown()


def count_copies(asked: int | None, policy: Policy, cores: int) -> int:
    """How many there are.  asked: None for as many as keep the cores busy.  Raises UsageError."""
    if asked is None:
        return min(MOST, cores) if policy.leaves_cores else 1
    if not 1 <= asked <= MOST:
        raise UsageError(f"--copies {asked}: there can be 1 to {MOST}", instead={"--copies": str(min(max(asked, 1), MOST))})
    return asked


def _load(choice: ModelChoice, model: ResolvedModel) -> None:
    """The start of a process that is a copy."""
    global _policy
    serve_parent()
    _policy = make_policy(choice, model=model)


def _on_own(work: Callable[..., Result], *arguments: object) -> Result:
    return work(_policy, *arguments)


def _identity(policy: Policy) -> dict[str, object]:
    return policy.identity


def _close(policy: Policy) -> None:
    policy.close()
