"""What a policy reported about one query, checked: `QueryRecord`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from vla_bench.documents import Count, Measure, typed
from vla_bench.trace import QueryTrace

PREPROCESS = "preprocess"  # the only stage outside the model


class _QueryLine(Struct, forbid_unknown_fields=True):
    """A query as a line has it, without its trace."""

    step: Count
    kept: tuple[Count, ...] | None
    prompt_tokens: Count | None
    stages_ms: dict[str, Measure]
    gflops: Measure | None = None
    policy_ms: Measure | None = None


@dataclass(frozen=True)
class QueryRecord:
    """What a policy reported about one query.

    step: control step of the query, after settling.
    kept: image tokens of each camera at the end of the decoder; None for a policy without image tokens.
    prompt_tokens: length of the instruction as the model read it.
    stages_ms: this query's share of its batch's time by stage, in milliseconds.
    gflops: cost in the scope `model`; None where that cannot be counted.
    trace: image tokens at each pruning site; None where the policy does not report it, and in runs of version 0.1.
    policy_ms: its share of its batch's time in the policy, in milliseconds.
    """

    step: int
    kept: tuple[int, ...] | None
    prompt_tokens: int | None
    stages_ms: Mapping[str, float]
    gflops: float | None = None
    trace: QueryTrace | None = None
    policy_ms: float | None = None

    @classmethod
    def of(
        cls,
        step: int,
        kept: Sequence[int] | None,
        prompt_tokens: int | None,
        stages_ms: Mapping[str, float],
        gflops: float | None = None,
        trace: QueryTrace | None = None,
        policy_ms: float | None = None,
    ) -> QueryRecord:
        """From numbers of any type.  Raises ValueError for impossible counts and times."""
        kept = None if kept is None else tuple(int(k) for k in kept)
        prompt_tokens = None if prompt_tokens is None else int(prompt_tokens)
        if kept == () or any(count < 0 for count in (*(kept or ()), prompt_tokens or 0)):
            raise ValueError(f"impossible token counts: kept {kept}, prompt {prompt_tokens}")
        times = {stage: round(float(ms), 3) for stage, ms in stages_ms.items()}
        policy_ms = None if policy_ms is None else round(float(policy_ms), 3)
        if not all(math.isfinite(ms) and ms >= 0 for ms in (*times.values(), policy_ms or 0.0)):
            raise ValueError(f"impossible times: {times}, in all {policy_ms}")
        if gflops is not None and not (math.isfinite(gflops) and gflops >= 0):
            raise ValueError(f"an impossible cost: {gflops} GFLOP")
        gflops = None if gflops is None else round(float(gflops), 6)
        return cls(int(step), kept, prompt_tokens, times, gflops=gflops, trace=trace, policy_ms=policy_ms)

    @property
    def reported(self) -> bool:
        """Whether the policy reported anything."""
        return self.kept is not None or self.prompt_tokens is not None or bool(self.stages_ms)

    @property
    def preprocess_ms(self) -> float | None:
        return self.stages_ms.get(PREPROCESS)

    @property
    def model_ms(self) -> float | None:
        """All stages but preprocessing; None where the policy timed none."""
        times = [ms for stage, ms in self.stages_ms.items() if stage != PREPROCESS]
        return sum(times) if times else None

    def to_dict(self) -> dict[str, object]:
        table = {
            "step": self.step,
            "kept": None if self.kept is None else list(self.kept),
            "prompt_tokens": self.prompt_tokens,
            "stages_ms": dict(self.stages_ms),
            "gflops": self.gflops,
            "policy_ms": self.policy_ms,
        }
        return table if self.trace is None else table | {"trace": self.trace.to_dict()}

    @classmethod
    def from_dict(cls, table: Mapping) -> QueryRecord:
        """The inverse of `to_dict`.  Raises KeyError, TypeError, ValueError or AttributeError."""
        own = typed({key: value for key, value in table.items() if key != "trace"}, _QueryLine)
        trace = None if table.get("trace") is None else QueryTrace.from_dict(table["trace"])
        return cls.of(own.step, own.kept, own.prompt_tokens, own.stages_ms, own.gflops, trace, own.policy_ms)
