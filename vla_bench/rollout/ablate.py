"""`vla-bench ablate`: a model and its variants on the same episodes, each paired with the model itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vla_bench import paper
from vla_bench.checkpoints.known import DEFAULTS
from vla_bench.errors import UsageError
from vla_bench.paper import SCHEDULES, TOKENS
from vla_bench.policies.resolve import resolve_model
from vla_bench.pruners.names import NONE
from vla_bench.results.comparison import ComparedRun, compare
from vla_bench.rollout.evaluate import EvalResult, evaluate
from vla_bench.rollout.journal import Observer
from vla_bench.rollout.plan import EvalRequest, prepare
from vla_bench.values import OtherTokens


@dataclass(frozen=True)
class Published:
    """The paper's numbers for a variant: mean success over LIBERO's four suites in percent, and kept image tokens of 512."""

    success: float
    tokens: int | None = None


@dataclass(frozen=True)
class Ablation:
    """The result of an ablation.  rows: the model, then its variants in the given order; fewer where a run did not finish."""

    rows: list[ComparedRun]
    published: list[Published]
    last: EvalResult

    @property
    def exit_code(self) -> int:
        return self.last.exit_code

    def to_dict(self) -> dict[str, object]:
        return {"rows": [row.to_dict() for row in self.rows], "paper": [vars(each) for each in self.published]}


def ablate(
    base: EvalRequest,
    schedules: tuple[str, ...] = (),
    tokens: tuple[str, ...] = (),
    observer: Callable[[], Observer] = Observer,
) -> Ablation:
    """Run the model and its variants, all of them where none is named; recorded episodes are not run again.

    base: the model's own evaluation.  `base.out` is the parent of the run folders; None for the default folders of
    `vla-bench eval`.  Raises UsageError where a variant's weights are missing, or where the model has no pruner.
    """
    if not schedules and not tokens:
        schedules, tokens = tuple(SCHEDULES), tuple(TOKENS)
    names = ["whole", *(f"noise {schedule}" for schedule in schedules), *(f"{much} tokens" for much in tokens)]
    variants = ["LightVLA", *(SCHEDULES[schedule][1] for schedule in schedules)]
    published = [Published(row.average, row.tokens) for row in (paper.table3()[name] for name in variants)]
    published += [Published(paper.table4()[much].average) for much in tokens]

    seed = base.seed
    if tokens:
        base = replace(base, seed=0)  # the seed is that of the drawn tokens
    others = [replace(base, model=trained_with(base.model, schedule)) for schedule in schedules]
    if tokens:
        inner = own_pruner(base)
        others += [replace(base, pruner=f"{TOKENS[much]}({inner},seed={seed})", pruner_args=None) for much in tokens]
    runs = []
    for name, request in zip(names, [base, *others], strict=True):
        last = evaluate(within(request, name), observer())
        if last.summary.total.episodes:
            runs.append(last.run_dir)
        if last.exit_code:
            break
    rows = [replace(row, name=name) for row, name in zip(compare(runs), names, strict=False)] if len(runs) > 1 else []
    return Ablation(rows, published[: len(rows)], last)


def own_pruner(base: EvalRequest) -> str:
    """The model's pruner.  Raises UsageError, before any episode, for a model that keeps every image token."""
    inner = str(prepare(base).policy.identity.get("pruner", NONE))
    if inner == NONE:
        what = f"{base.model} keeps every image token: there are none to add or to drop"
        raise UsageError(what, instead={"--model": "nano"})
    return inner


def trained_with(model: str, schedule: str) -> str:
    """The model trained with another noise schedule: the name or folder of `model` with a suffix.  Raises UsageError."""
    model = DEFAULTS.get(model, model)
    name = model.rstrip("/") + SCHEDULES[schedule][0]
    try:
        exists = Path(resolve_model(name).place or "").is_dir()
    except UsageError:
        exists = False
    if not exists:
        what = f'no weights of {model} trained with noise schedule "{schedule}": {name} does not exist'
        fix = {"--noise-schedule": None, "--tokens": str(OtherTokens.FEWER)}
        raise UsageError(f"{what}.  Train them (docs/training.md), or compare tokens alone", instead=fix)
    return name


def within(request: EvalRequest, name: str) -> EvalRequest:
    return request if request.out is None else replace(request, out=request.out / name.replace(" ", "-"))
