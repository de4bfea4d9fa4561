"""`vla-bench eval --dry-run`: what an evaluation would do and could show.  Starts no simulator and writes nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

from vla_bench.checkpoints.hub import is_hub_id
from vla_bench.errors import UsageError
from vla_bench.folders import refuse_other
from vla_bench.policies.resolve import ModelKind
from vla_bench.power import visible_drop
from vla_bench.records import EpisodeKey, Status, config_hash, read_episodes, read_run
from vla_bench.results.early_stop import EarlyStop
from vla_bench.rollout.folder import OTHER_FOLDER
from vla_bench.rollout.plan import RUNS, Plan, complete, outline
from vla_bench.rollout.rates import Estimate, estimate
from vla_bench.rollout.request import EvalRequest, Outline
from vla_bench.values import EngineName

LIGHT_BYTES = 1 << 30  # a checkpoint up to this is loaded, so that its run folder and configuration hash are known
GAINED = (0.0, 0.02)  # shares of the pairs that are gained, for which the visible drop is told


@dataclass(frozen=True)
class DryRun:
    """What is known before the first episode.

    episodes: by suite.  recorded: of them, in the run folder already.
    out, config_hash: None where they follow from weights that are not loaded here; `why` says why not.
    time: of what is left to run; None where no run on this machine says.
    visible: the smallest drop that so many pairs show with 80 % power, by the share of them that is gained; None for none.
    stop_early: of a run that may be stopped early: its `rule`, its `pairs`, the `fewest_pairs` with which it can pass.
    """

    model: str
    assets: str
    episodes: dict[str, int]
    init_states: int
    recorded: int
    workers: int
    out: Path | None
    config_hash: str | None
    why: str | None
    time: Estimate | None
    visible: dict[float, float | None]
    stop_early: dict[str, object] | None

    def to_dict(self) -> dict[str, object]:
        visible = [{"gained": gained, "drop": drop} for gained, drop in self.visible.items()]
        return asdict(self) | {"out": self.out and str(self.out), "visible": visible}


def dry_run(request: EvalRequest) -> DryRun:
    """Check the request as `evaluate` does before its first episode.  Raises VlaBenchError."""
    if request.engine == EngineName.RAY:
        raise UsageError("--dry-run asks no cluster, so it cannot check one", "vla-bench eval --dry-run, without --engine ray")
    checked = outline(request)
    why = not_loaded(checked)
    plan = complete(checked) if why is None else None
    out = request.out if plan is None else plan.out
    if plan is not None and not request.fresh and (before := read_run(plan.out)) is not None:
        refuse_other(plan.out, "a run", before.config, plan.config, OTHER_FOLDER)
    done = recorded(out, request.fresh)
    left = [key for key in checked.episodes if key not in done]
    init_states = {key[:3] for key in checked.episodes}
    return DryRun(
        model=checked.model.name,
        assets=checked.assets.name,
        episodes=dict(Counter(key.suite for key in checked.episodes)),
        init_states=len(init_states),
        recorded=len(checked.episodes) - len(left),
        workers=checked.workers,
        out=out,
        config_hash=None if plan is None else config_hash(plan.config),
        why=why,
        time=estimate(
            RUNS if request.out is None else request.out.parent,
            model=checked.model.name,
            pruner=_pruner(checked, plan),
            assets=checked.assets.name,
            scripted=checked.model.kind is not ModelKind.CHECKPOINT,
            episodes=left,
            horizons={suite.name: suite.horizon for suite in checked.suites},
            workers=checked.workers,
        ),
        visible={gained: visible_drop(len(init_states), gained) for gained in GAINED},
        stop_early=None if checked.early is None else _stop_early(checked.early),
    )


def not_loaded(checked: Outline) -> str | None:
    """Why a dry run does not load the weights; None where it does."""
    if checked.model.kind is not ModelKind.CHECKPOINT:
        return None
    source = checked.model.checkpoint([suite.name for suite in checked.suites])
    if is_hub_id(source):
        return f"follows from the weights of {source}, which a dry run does not download"
    files = [file for file in Path(source).expanduser().iterdir() if file.suffix in (".safetensors", ".pt", ".bin")]
    size = sum(file.stat().st_size for file in files)
    return None if size <= LIGHT_BYTES else f"follows from weights of {size / 1e9:.0f} GB, which a dry run does not load"


def recorded(out: Path | None, fresh: bool) -> set[EpisodeKey]:
    """Episodes in the run folder that would not run again."""
    if out is None or fresh:
        return set()
    return {episode.key for episode in read_episodes(out) if episode.status is not Status.ERROR}


def _pruner(checked: Outline, plan: Plan | None) -> str | None:
    return checked.choice.pruner if plan is None else plan.pruner


def _stop_early(early: EarlyStop) -> dict[str, object]:
    about = {"rule": early.rule.to_dict(), "pairs": early.pairs, "fewest_pairs": early.fewest_pairs}
    return about | {"outlook": early.outlook}
