"""`vla-bench ablate`: a model and its variants on the same episodes, each paired with the model itself; a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from vla_bench import paper
from vla_bench.checkpoints.known import DEFAULTS
from vla_bench.errors import UsageError
from vla_bench.paper import POSITIONS, SCHEDULES, TOKENS
from vla_bench.policies.resolve import resolve_model
from vla_bench.pruners.names import NONE
from vla_bench.results.comparison import ComparedRun
from vla_bench.rollout.matching import with_arguments
from vla_bench.rollout.plan import prepare
from vla_bench.rollout.request import EvalRequest
from vla_bench.rollout.sweep import SweepResult, run_sweep
from vla_bench.rollout.sweep_definition import Row, Sweep
from vla_bench.rollout.sweep_progress import SweepObserver
from vla_bench.values import Control, OtherPositions, OtherTokens

WHOLE = "whole"  # the row of the model itself
STAR = "lightvla-star-"  # Table V's pruners; MODEL-star-vision is the model trained with the first of them
CONTROLS = {
    Control.RANDOM: "random(keep=match:whole,seed={seed})",
    Control.GRID: "grid(keep=match:whole)",
    Control.INVERSE: "inverse(score-lightvla(keep=match:whole))",
}


@dataclass(frozen=True)
class Published:
    """The paper's numbers for a variant: mean success over LIBERO's four suites and success by suite, in percent; kept image
    tokens of 512.

    None, and no suites, where the paper has no such row.
    """

    success: float | None = None
    tokens: int | None = None
    suites: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Ablation:
    """The result of an ablation.

    rows: the model, then its variants in the given order; fewer where a run did not finish.  published: of each row.
    untrained: positions of Table V for which there are no weights.
    """

    rows: list[ComparedRun]
    published: list[Published]
    untrained: list[str]
    sweep: SweepResult

    @property
    def exit_code(self) -> int:
        return self.sweep.exit_code

    def to_dict(self) -> dict[str, object]:
        shown = {"rows": [row.to_dict() for row in self.rows], "paper": [asdict(each) for each in self.published]}
        return shown | {"untrained": self.untrained, "folder": str(self.sweep.folder)}


def ablate(
    base: EvalRequest,
    schedules: Sequence[str] = (),
    tokens: Sequence[str] = (),
    star: bool = False,
    controls: Sequence[Control] = (),
    positions: Sequence[OtherPositions] = (),
    observer: SweepObserver | None = None,
) -> Ablation:
    """Run the model and its variants, those of Tables III and IV where none is named; recorded episodes are not run again.

    base: the model's own evaluation.  `base.out` is the folder of the sweep.  star: the models of Table V.  positions: of the
    kept tokens.  Raises UsageError where a variant's weights are missing, or where the model has no pruner, or none such.
    """
    if not (schedules or tokens or star or controls or positions):
        schedules, tokens = tuple(SCHEDULES), tuple(TOKENS)
    seed = base.seed
    if tokens or controls:
        base = replace(base, seed=0)  # the seed is that of the drawn tokens
    rows, published = [Row(WHOLE, base.model)], {WHOLE: _noise("LightVLA")}
    for schedule in schedules:
        rows.append(Row(f"noise {schedule}", trained_with(base.model, schedule)))
        published[rows[-1].name] = _noise(SCHEDULES[schedule][1])
    trained, untrained = star_models(base.model) if star else ({}, [])
    for pruner, model in trained.items():
        rows.append(Row(pruner.removeprefix("lightvla-"), model))
        row = paper.table5()[POSITIONS[pruner]]
        published[rows[-1].name] = Published(row.average, suites=row.success)
    inner = own_pruner(base) if tokens or controls or positions else NONE
    for much in tokens:
        rows.append(Row(f"{much} tokens", base.model, f"{TOKENS[much]}({inner},seed={seed})"))
        published[rows[-1].name] = Published(paper.table4()[much].average, suites=paper.table4()[much].success)
    for control in controls:
        rows.append(Row(f"{control} tokens", base.model, CONTROLS[control].format(seed=seed)))
        published[rows[-1].name] = Published()
    for each in positions:
        rows.append(Row(f"{each} positions", base.model, with_arguments(inner, {"positions": str(each)})))
        published[rows[-1].name] = Published()
    result = run_sweep(Sweep("ablate", f"{base.model} and its variants", tuple(rows), WHOLE), base, observer)
    return Ablation(result.rows, [published[row.name] for row in result.rows], untrained, result)


def own_pruner(base: EvalRequest) -> str:
    """The model's pruner.  Raises UsageError, before any episode, for a model that keeps every image token."""
    inner = str(prepare(base).policy.identity.get("pruner", NONE))
    if inner == NONE:
        what = f"{base.model} keeps every image token: there are none to add or to drop"
        raise UsageError(what, instead={"--model": "nano"})
    return inner


def trained_with(model: str, schedule: str) -> str:
    """The model trained with another noise schedule: the name or folder of `model` with a suffix.  Raises UsageError."""
    name = _named(model) + SCHEDULES[schedule][0]
    if not _exists(name):
        what = f'no weights of {model} trained with noise schedule "{schedule}": {name} does not exist'
        fix = {"--noise-schedule": None, "--tokens": str(OtherTokens.FEWER)}
        raise UsageError(f"{what}.  Train them (docs/training.md), or compare tokens alone", instead=fix)
    return name


def star_models(model: str) -> tuple[dict[str, str], list[str]]:
    """The models of Table V that there are, by pruner; and the pruners for which there are none.

    Raises UsageError where there is no such model at all.
    """
    names = {pruner: _named(model) + "-star-" + pruner.removeprefix(STAR) for pruner in POSITIONS if pruner.startswith(STAR)}
    trained = {pruner: name for pruner, name in names.items() if _exists(name)}
    if not trained:
        fix = f"vla-bench train --pruner {next(iter(names))} ..., and put its checkpoint there"
        raise UsageError(f"no weights of {model} with learnable queries: {' and '.join(names.values())} do not exist", fix)
    return trained, [pruner for pruner in names if pruner not in trained]


def _named(model: str) -> str:
    return DEFAULTS.get(model, model).rstrip("/")


def _exists(name: str) -> bool:
    try:
        return Path(resolve_model(name).place or "").is_dir()
    except UsageError:
        return False


def _noise(variant: str) -> Published:
    row = paper.table3()[variant]
    return Published(row.average, row.tokens, row.success)
