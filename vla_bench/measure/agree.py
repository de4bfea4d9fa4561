"""`vla-bench agree`: how far a pruner moves the actions on recorded observations, without a simulator.

A quick check, not a success rate: different actions may succeed all the same, and small differences may add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from vla_bench.errors import UsageError
from vla_bench.interface.pruner import Pruner
from vla_bench.measure import sources
from vla_bench.measure.recorded import read_observations
from vla_bench.policies.vla import VLAPolicy
from vla_bench.pruners.names import NONE
from vla_bench.pruners.registry import make_pruner
from vla_bench.suites import load_suites
from vla_bench.world.observation import Observation

GRIPPER = 6


@dataclass(frozen=True)
class AgreeRequest:
    """The options of `vla-bench agree`.

    suite: use the observations of these suites only.
    observations: a .npz file or a folder of demonstrations; None for the bundled ones.
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

    distance: mean |difference| of a chunk's six translations and rotations, in units of the robot's action range: the mean
        over each episode's queries, then over the episodes, however many queries each has.
    low, high: its 95 % interval, from a bootstrap over episodes; with a single episode both are the mean.
    gripper: share of steps with another gripper command, mean over the queries.
    kept: image tokens kept, mean over the queries, 0 for a query with a cached action; `visual`: image tokens before pruning.
    gflops: cost of a query in the scope `model`, mean over the queries.
    ms, prune_ms: median time of a query without the preparation of the images, and of the pruner in it.

    A cached action may have fewer steps than a chunk: the steps that both have are compared.
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
    """One row a pruner, in the order of the request, the dense model first."""

    model: str
    device: str
    observations: str
    rows: tuple[Agreement, ...]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass
class _Recorded:
    """Results of one pruner, one entry a query."""

    actions: list[np.ndarray] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    gflops: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    prune_ms: list[float] = field(default_factory=list)


def agree(request: AgreeRequest, on_query: Callable[[int, int], None] = lambda *_: None) -> AgreementReport:
    """Query the dense model and every pruner on each observation in turn, so that all are timed under the same load.

    Raises VlaBenchError before the first query for options that cannot be used.
    """
    if not request.pruners:
        raise UsageError("no pruner to compare", "vla-bench agree --pruner fastv --pruner random")
    pruners = [None, *map(make_pruner, request.pruners)]
    wanted = tuple(suite.name for suite in load_suites(request.suite))
    episodes = read_observations(request.observations, request.episodes, wanted)
    suites = tuple(name for name in wanted if any(episode[0].episode.suite == name for episode in episodes))
    source = sources.checkpoint(request.model, suites, request.device)
    policy = source.policy()
    for pruner in pruners:
        source.attach(policy.model, pruner)
    records = [_Recorded() for _ in pruners]
    total, done = sum(map(len, episodes)), 0
    for episode in episodes:
        for pruner in pruners:
            policy.use(pruner)
            policy.reset(episode[0].episode)
        for observation in episode:
            for pruner, record in zip(pruners, records, strict=True):
                policy.use(pruner)
                _query(policy, observation, record)
            done += 1
            on_query(done, total)
    lengths = [len(episode) for episode in episodes]
    visual = policy.visual_tokens
    rows = tuple(_row(pruner, record, records[0], lengths, visual) for pruner, record in zip(pruners, records, strict=True))
    return AgreementReport(source.name, policy.identity["device"], str(request.observations or "shipped"), rows)


def _query(policy: VLAPolicy, observation: Observation, record: _Recorded) -> None:
    (chunk,) = policy.act([observation])
    record.actions.append(chunk.actions)
    record.kept.append(chunk.kept_total)
    record.gflops.append(chunk.gflops)
    record.ms.append(sum(lap for stage, lap in chunk.stages_ms.items() if stage != "preprocess"))
    record.prune_ms.append(chunk.stages_ms.get("prune", 0.0))


def _row(pruner: Pruner | None, record: _Recorded, dense: _Recorded, lengths: Sequence[int], visual: int) -> Agreement:
    pairs = [_common(actions, expected) for actions, expected in zip(record.actions, dense.actions, strict=True)]
    motion = np.array([np.abs(actions - expected)[:, :GRIPPER].mean() for actions, expected in pairs])
    mean, low, high = over_episodes(np.array([part.mean() for part in np.split(motion, np.cumsum(lengths)[:-1])]))
    return Agreement(
        pruner=NONE if pruner is None else pruner.label,
        queries=len(pairs),
        distance=mean,
        low=low,
        high=high,
        gripper=float(np.mean([(actions != expected)[:, GRIPPER].mean() for actions, expected in pairs])),
        kept=float(np.mean(record.kept)),
        visual=visual,
        gflops=float(np.mean(record.gflops)),
        ms=float(np.median(record.ms)),
        prune_ms=float(np.median(record.prune_ms)),
    )


def _common(actions: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The steps that both have: the first ones."""
    steps = min(len(actions), len(expected))
    return actions[:steps], expected[:steps]


def over_episodes(means: np.ndarray) -> tuple[float, float, float]:
    """Mean of independent episodes, and both ends of its 95 % interval."""
    from scipy.stats import bootstrap

    mean = float(means.mean())
    if len(means) < 2 or np.ptp(means) == 0:
        return mean, mean, mean
    interval = bootstrap((means,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    # Where means differ by rounding alone, rounding can put the interval beside their mean.
    return mean, min(float(interval.low), mean), max(float(interval.high), mean)
