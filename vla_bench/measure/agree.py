"""`vla-bench agree`: what a pruner changes in the answers to recorded observations, without a simulator.

A quick check and no more: answers that differ may succeed all the same, and small differences may add up.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from vla_bench.errors import UsageError
from vla_bench.interface.pruner import Pruner
from vla_bench.measure import sources
from vla_bench.measure.recorded import read_observations
from vla_bench.policies.vla import VLAPolicy
from vla_bench.pruners.registry import NONE, make_pruner
from vla_bench.suites import load_suites
from vla_bench.world.observation import Observation

GRIPPER = 6


@dataclass(frozen=True)
class AgreeRequest:
    """What the user asked for.

    suite: whose observations, of those there are.
    observations: a .npz file or a folder of demonstrations; None for those that ship.
    """

    model: str
    pruners: tuple[str, ...]
    suite: str = "all"
    observations: Path | None = None
    episodes: int = 1
    device: str = "auto"


@dataclass(frozen=True)
class Agreement:
    """One pruner against the dense model on the same observations.

    distance: mean |difference| of the six motions of a chunk, in units of the robot's action range: of each episode's
        queries, and then over the episodes, however many queries each has.
    low, high: its 95 % interval, from a bootstrap over episodes; of a single episode there is none, and both are the mean.
    gripper: share of steps in which the gripper is told otherwise, mean over the queries.
    kept: image tokens kept, mean over the queries, 0 where the pruner answered by itself; of all, `visual`.
    gflops: cost of a query in the scope `model`, mean over the queries.
    ms, prune_ms: median time of a query behind the pictures' preparation, and of the pruner in it.

    A pruner that answers by itself may answer fewer steps than a chunk has: the steps that both answered are compared.
    """

    pruner: str
    queries: int
    distance: float
    low: float
    high: float
    gripper: float
    kept: float
    visual: int
    gflops: float
    ms: float
    prune_ms: float

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class AgreementReport:
    """Rows in the order asked, the dense model first."""

    model: str
    device: str
    observations: str
    rows: tuple[Agreement, ...]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass
class _Recorded:
    """Answers of one pruner, one entry a query."""

    actions: list[np.ndarray] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    gflops: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    prune_ms: list[float] = field(default_factory=list)


def agree(request: AgreeRequest, on_query: Callable[[int, int], None] = lambda *_: None) -> AgreementReport:
    """Ask the dense model and every pruner about each observation in turn, so that all are timed under the same load.

    Raises VlaBenchError before the first query for whatever cannot be.
    """
    if not request.pruners:
        raise UsageError("no pruner to compare", "vla-bench agree --pruner fastv --pruner random")
    pruners = [None, *map(make_pruner, request.pruners)]
    wanted = tuple(suite.name for suite in load_suites(request.suite))
    episodes = read_observations(request.observations, request.episodes, wanted)
    suites = tuple(name for name in wanted if any(seen[0].episode.suite == name for seen in episodes))
    again = shlex.join(["vla-bench", "agree", *(word for text in request.pruners for word in ("--pruner", text))])
    source = sources.checkpoint(request.model, suites, request.device, again)
    policy = source.policy()
    for pruner in pruners:
        source.attach(policy.model, pruner)
    seen = [_Recorded() for _ in pruners]
    total, done = sum(map(len, episodes)), 0
    for episode in episodes:
        for pruner in pruners:
            policy.use(pruner)
            policy.reset(episode[0].episode)
        for observation in episode:
            for pruner, record in zip(pruners, seen, strict=True):
                policy.use(pruner)
                _ask(policy, observation, record)
            done += 1
            on_query(done, total)
    lengths = [len(episode) for episode in episodes]
    rows = tuple(
        _row(pruner, record, seen[0], lengths, policy.visual_tokens) for pruner, record in zip(pruners, seen, strict=True)
    )
    return AgreementReport(source.name, policy.identity["device"], str(request.observations or "shipped"), rows)


def _ask(policy: VLAPolicy, observation: Observation, record: _Recorded) -> None:
    (chunk,) = policy.act([observation])
    record.actions.append(chunk.actions)
    record.kept.append(chunk.kept_total)
    record.gflops.append(chunk.gflops)
    record.ms.append(sum(lap for stage, lap in chunk.stages_ms.items() if stage != "preprocess"))
    record.prune_ms.append(chunk.stages_ms.get("prune", 0.0))


def _row(pruner: Pruner | None, record: _Recorded, dense: _Recorded, lengths: Sequence[int], visual: int) -> Agreement:
    pairs = [_common(found, expected) for found, expected in zip(record.actions, dense.actions, strict=True)]
    motion = np.array([np.abs(found - expected)[:, :GRIPPER].mean() for found, expected in pairs])
    mean, low, high = over_episodes(np.array([part.mean() for part in np.split(motion, np.cumsum(lengths)[:-1])]))
    return Agreement(
        pruner=NONE if pruner is None else pruner.label,
        queries=len(pairs),
        distance=mean,
        low=low,
        high=high,
        gripper=float(np.mean([(found != expected)[:, GRIPPER].mean() for found, expected in pairs])),
        kept=float(np.mean(record.kept)),
        visual=visual,
        gflops=float(np.mean(record.gflops)),
        ms=float(np.median(record.ms)),
        prune_ms=float(np.median(record.prune_ms)),
    )


def _common(found: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steps that both answer: the first ones."""
    steps = min(len(found), len(expected))
    return found[:steps], expected[:steps]


def over_episodes(means: np.ndarray) -> tuple[float, float, float]:
    """Mean of independent episodes, and its 95 % interval."""
    from scipy.stats import bootstrap

    mean = float(means.mean())
    if len(means) < 2 or np.ptp(means) == 0:
        return mean, mean, mean
    found = bootstrap((means,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    # Means that differ by rounding alone have an interval that rounding can put beside their mean.
    return mean, min(float(found.low), mean), max(float(found.high), mean)
