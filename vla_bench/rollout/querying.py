"""Queries a policy for a batch of observations, and checks what it returns."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vla_bench.errors import VlaBenchError
from vla_bench.policies.base import ACTION_DIM, Chunk, Policy
from vla_bench.query_record import QueryRecord
from vla_bench.rollout.worker import ErrorReport
from vla_bench.world.observation import Observation


@dataclass(frozen=True)
class Answer:
    """A chunk that passed the checks.

    actions: (T, 7).
    seconds: this query's share of its batch's time.
    """

    actions: np.ndarray
    query: QueryRecord
    seconds: float


def query_policy(policy: Policy, observations: Sequence[Observation]) -> list[Answer | ErrorReport]:
    """The policy's answer to each observation.  A policy that raises fails the whole batch: its state may have advanced for some
    of the episodes, and would be wrong if they were queried again."""
    started = time.perf_counter()
    try:
        chunks = policy.act(list(observations))
        share = (time.perf_counter() - started) / len(observations)
        if len(chunks) != len(observations):
            raise ValueError(f"{policy.name} returned {len(chunks)} chunks for {len(observations)} observations")
    except Exception as error:  # noqa: BLE001  a policy that fails ends its episodes, not the run
        return [_report(policy, error)] * len(observations)
    return [_validated(policy, o, chunk, share) for o, chunk in zip(observations, chunks, strict=True)]


def _validated(policy: Policy, observation: Observation, chunk: Chunk | VlaBenchError, seconds: float) -> Answer | ErrorReport:
    try:
        return _validate(observation, chunk, seconds)
    except (ValueError, VlaBenchError) as error:
        return _report(policy, error)


def _validate(observation: Observation, chunk: Chunk | VlaBenchError, seconds: float) -> Answer:
    """Check the chunk that a policy returned.  Raises ValueError, and the error that it returned instead."""
    if isinstance(chunk, VlaBenchError):
        raise chunk
    actions = chunk.actions
    if actions.ndim != 2 or actions.shape[1] != ACTION_DIM or not len(actions):
        raise ValueError(f"actions have shape {actions.shape}, not (T, {ACTION_DIM})")
    if not np.isfinite(actions).all():
        raise ValueError("actions are not finite numbers")
    reported = (chunk.kept_tokens, chunk.prompt_tokens, chunk.stages_ms, chunk.gflops, chunk.trace)
    return Answer(actions, QueryRecord.of(observation.step, *reported, 1000 * seconds), seconds)


def _report(policy: Policy, error: Exception) -> ErrorReport:
    report = ErrorReport.of(error)
    return replace(report, message=f"policy {policy.name}: {report.message}")
