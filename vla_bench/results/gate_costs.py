"""The gates of costs: does a run keep more image tokens than the baseline, compute more, or take longer?"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from vla_bench.errors import UsageError
from vla_bench.results.gate_status import GateStatus
from vla_bench.results.paired_metrics import by_init_state, metrics_on
from vla_bench.results.units import Key

SLACK = 1e-4  # of a ratio of means: older summaries round an episode's kept tokens to hundredths
FEWEST_TIMES = 10  # init states, for the interval of a median
AGAIN = "keep the run once more: vla-bench keep RUN FILE.json"


@dataclass(frozen=True)
class CostLimits:
    """What a run may cost compared with the baseline; None for no gate.

    more_tokens, more_gflops: shares by which the mean of a query may be higher.  slowdown: largest ratio of times, as 1.2.
    Raises UsageError for numbers that no limit can have.
    """

    more_tokens: float | None = None
    more_gflops: float | None = None
    slowdown: float | None = None

    def __post_init__(self):
        for option, share in (("--max-more-tokens", self.more_tokens), ("--max-more-gflops", self.more_gflops)):
            if share is not None and not 0 <= share < math.inf:
                raise UsageError(f"{option} is in percent of the baseline's mean, 0 or more, not {100 * share:g}")
        if self.slowdown is not None and not 0 < self.slowdown < math.inf:
            raise UsageError(
                f"--max-slowdown is a ratio of times above 0, not {self.slowdown:g}",
                "vla-bench gate --max-slowdown 1.2 ..., for a fifth more",
            )


@dataclass(frozen=True)
class CostFinding:
    """One gate of a cost.

    base, new: means over all queries of the paired init states.
    ratio: new by base; of times the median over the init states, with its 95 % bootstrap interval `low` to `high`.
    limit: most that the ratio may be.  n: init states.  reason: why there is no finding; None where there is one.
    """

    option: str
    name: str
    unit: str
    limit: float
    n: int
    base: float | None
    new: float | None
    ratio: float | None
    low: float | None
    high: float | None
    finding: GateStatus
    reason: str | None


def judge_costs(base: dict, new: dict, keys: Collection[Key], limits: CostLimits) -> list[CostFinding]:
    """The gates that are asked for.  base, new: summaries.  keys: init states that both ended without an error."""
    found = []
    if limits.more_tokens is not None:
        found.append(_counted("--max-more-tokens", "kept_tokens", "kept tokens", "", base, new, keys, 1 + limits.more_tokens))
    if limits.more_gflops is not None:
        found.append(_counted("--max-more-gflops", "gflops", "cost of a query", "GFLOP", base, new, keys, 1 + limits.more_gflops))
    if limits.slowdown is not None:
        found.append(_timed(base, new, keys, limits.slowdown))
    return found


def _counted(
    option: str, metric: str, name: str, unit: str, base: dict, new: dict, keys: Collection[Key], limit: float
) -> CostFinding:
    """Counts have no noise: the ratio of the means is the finding."""
    here, there = (metrics_on(run, keys)[f"{metric}_mean"] for run in (base, new))
    reason = ratio = None
    finding = GateStatus.INCONCLUSIVE
    if here is None or there is None:
        which = "the baseline" if here is None else "the new run"
        reason = f"{which} does not tell it for these init states: {AGAIN}"
    elif here == 0:
        reason = "it is 0 in the baseline"
    else:
        ratio = there / here
        finding = GateStatus.COSTLIER if ratio > limit * (1 + SLACK) else GateStatus.PASSED
    return CostFinding(option, name, unit, limit, len(keys), here, there, ratio, None, None, finding, reason)


def _timed(base: dict, new: dict, keys: Collection[Key], limit: float) -> CostFinding:
    """Times have noise: the limit is exceeded, or kept, where the whole interval says so."""
    first, second = (by_init_state(run, "policy_ms_mean") for run in (base, new))
    both = sorted(key for key in keys if first.get(key) and second.get(key))  # the bootstrap draws by place
    here, there = (metrics_on(run, both)["policy_ms_mean"] if both else None for run in (base, new))
    known = ("--max-slowdown", "time of a query", "ms", limit, len(both), here, there)
    if len(both) < FEWEST_TIMES:
        silent = next((name for name, times in (("the baseline", first), ("the new run", second)) if not times), None)
        few = f"{len(both)} init states with times are too few, {FEWEST_TIMES} are needed"
        why = few if silent is None else f"{silent} has no times by init state: {AGAIN}"
        return CostFinding(*known, None, None, None, GateStatus.INCONCLUSIVE, why)
    from vla_bench.spread import ratio

    found = ratio([second[key] for key in both], [first[key] for key in both])
    if found.low > limit:
        finding, reason = GateStatus.COSTLIER, None
    elif found.high <= limit:
        finding, reason = GateStatus.PASSED, None
    else:
        finding, reason = GateStatus.INCONCLUSIVE, "the limit lies within the interval: run more init states"
    return CostFinding(*known, found.ratio, found.low, found.high, finding, reason)
