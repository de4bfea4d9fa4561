"""What an evaluation is asked for, and what is known of it once that is checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vla_bench.interface.action_slice import ActionSlice
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.resolve import ResolvedModel
from vla_bench.records import EpisodeKey
from vla_bench.results.early_stop import EarlyStop
from vla_bench.rollout.against import Baseline, StopOptions
from vla_bench.suites import Suite
from vla_bench.values import Decoding, Device, EngineName, Video
from vla_bench.world.assets import AssetPack


@dataclass(frozen=True, kw_only=True)
class EvalRequest:
    """The user's request, as the command line takes it.

    frozen_fixtures: the protocol of versions before 0.2 (`vla_bench.values.Fixtures`).
    """

    suite: str = "all"
    model: str = "auto"
    trials: int | None = None
    tasks: str | None = None
    init_states: str | None = None
    shard: str | None = None
    workers: str = "auto"
    engine: EngineName = EngineName.LOCAL
    address: str | None = None
    assets: str = "auto"
    video: Video = Video.FAILURES
    out: Path | None = None
    fresh: bool = False
    frozen_fixtures: bool = False
    seed: int = 0
    pruner: str | None = None
    pruner_args: str | None = None
    decoding: Decoding | None = None
    unnorm_key: str | None = None
    action_slice: ActionSlice | None = None
    adapter: Path | None = None
    cameras: int | None = None
    chunk: int | None = None
    center_crop: bool | None = None
    open_loop_steps: int | None = None
    device: Device = Device.AUTO
    against: Path | None = None
    stop_early: StopOptions | None = None
    command: str = "vla-bench eval"


@dataclass(frozen=True, kw_only=True)
class Outline:
    """A checked request, as far as that goes without its model and OpenGL.

    selected: the episodes of all shards; `episodes` are those of the requested one.
    base: the baseline of `--against`.  early: by what the run may be stopped early; None where it may not.
    """

    request: EvalRequest
    choice: ModelChoice
    model: ResolvedModel
    suites: list[Suite]
    selected: list[EpisodeKey]
    episodes: list[EpisodeKey]
    assets: AssetPack
    workers: int
    base: Baseline | None
    early: EarlyStop | None
