"""`vla-bench agree`: what a pruner changes in the answers to recorded observations, without a simulator.

A quick check and no more: answers that differ may succeed all the same, and small differences may add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vla_bench.errors import UsageError
from vla_bench.measure.recorded import read_observations
from vla_bench.policies.checkpoints import make_vla_policy
from vla_bench.policies.registry import ModelChoice, settle
from vla_bench.policies.vla import VLAPolicy
from vla_bench.pruners.base import Pruner
from vla_bench.pruners.registry import NONE, make_pruner
from vla_bench.world.observation import Observation

GRIPPER = 6


@dataclass(frozen=True)
class AgreeRequest:
    """What the user asked for.  observations: a .npz file or a folder of demonstrations; None for those that ship."""

    model: str
    pruners: tuple[str, ...]
    observations: Path | None = None
    episodes: int = 1
    device: str = "auto"


@dataclass(frozen=True)
class Agreement:
    """One pruner against the dense model on the same observations.

    distance: mean |difference| of the six motions of a chunk, in units of the robot's action range, and its 95 % interval,
        from a bootstrap over episodes.
    gripper: share of steps in which the gripper is told otherwise.
    kept: image tokens kept, mean over the queries; of all, `visual`.
    ms, prune_ms: median time of a query behind the pictures' preparation, and of the pruner in it.
    """

    pruner: str
    queries: int
    distance: float
    low: float
    high: float
    gripper: float
    kept: float
    visual: int
    ms: float
    prune_ms: float

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Agreed:
    """Rows in the order asked, the dense model first."""

    model: str
    device: str
    observations: str
    rows: tuple[Agreement, ...]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass
class _Seen:
    """Answers of one pruner, one entry a query."""

    actions: list[np.ndarray]
    kept: list[int]
    ms: list[float]
    prune_ms: list[float]


def agree(request: AgreeRequest, on_query: Callable[[int, int], None] = lambda *_: None) -> Agreed:
    """Ask the dense model and every pruner about each observation in turn, so that all are timed under the same load.

    Raises VlaBenchError before the first query for whatever cannot be.
    """
    if not request.pruners:
        raise UsageError("no pruner to compare", "vla-bench agree --pruner fastv --pruner random")
    episodes = read_observations(request.observations, request.episodes)
    suites = tuple(dict.fromkeys(seen[0].episode.suite for seen in episodes))
    choice, _ = settle(ModelChoice(request.model, suites=suites, pruner=NONE, device=request.device))
    if choice.scripted:
        raise UsageError(f"{choice.model} has no image tokens to prune", "vla-bench agree --model nano --pruner fastv")
    policy = make_vla_policy(choice)
    pruners = [None, *(_attached(policy, text) for text in request.pruners)]
    seen = [_Seen([], [], [], []) for _ in pruners]
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
    return Agreed(choice.model, policy.identity["device"], str(request.observations or "shipped"), rows)


def _attached(policy: VLAPolicy, text: str) -> Pruner | None:
    pruner = make_pruner(text)
    policy.model.attach(pruner)
    weight = policy.model.openvla.projector.fc1.weight
    return pruner if pruner is None else pruner.to(weight.device, weight.dtype).eval()


def _ask(policy: VLAPolicy, observation: Observation, record: _Seen) -> None:
    (chunk,) = policy.act([observation])
    record.actions.append(chunk.actions)
    record.kept.append(chunk.kept_total)
    record.ms.append(sum(lap for stage, lap in chunk.stages_ms.items() if stage != "preprocess"))
    record.prune_ms.append(chunk.stages_ms.get("prune", 0.0))


def _row(pruner: Pruner | None, record: _Seen, dense: _Seen, lengths: Sequence[int], visual: int) -> Agreement:
    found, expected = np.stack(record.actions), np.stack(dense.actions)
    motion = np.abs(found[..., :GRIPPER] - expected[..., :GRIPPER]).mean(axis=(1, 2))
    low, high = _interval(np.array([part.mean() for part in np.split(motion, np.cumsum(lengths)[:-1])]))
    return Agreement(
        pruner=NONE if pruner is None else pruner.label,
        queries=len(found),
        distance=float(motion.mean()),
        low=low,
        high=high,
        gripper=float((found[..., GRIPPER] != expected[..., GRIPPER]).mean()),
        kept=float(np.mean(record.kept)),
        visual=visual,
        ms=float(np.median(record.ms)),
        prune_ms=float(np.median(record.prune_ms)),
    )


def _interval(means: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean of independent episodes."""
    from scipy.stats import bootstrap

    if len(means) < 2 or np.ptp(means) == 0:
        return float(means.mean()), float(means.mean())
    found = bootstrap((means,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    return float(found.low), float(found.high)
