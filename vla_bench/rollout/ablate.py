"""`vla-bench ablate`: a model and its variants on the same episodes, each paired with the model itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from vla_bench import paper
from vla_bench.checkpoints.known import DEFAULTS
from vla_bench.errors import UsageError
from vla_bench.policies.resolve import resolve_model
from vla_bench.pruners.registry import NONE
from vla_bench.results.comparison import ComparedRun, compare
from vla_bench.rollout.evaluate import EvalResult, evaluate
from vla_bench.rollout.journal import Observer
from vla_bench.rollout.plan import EvalRequest, prepare
from vla_bench.values import OtherNoise, OtherTokens


@dataclass(frozen=True)
class Published:
    """What the paper has for a variant: success over LIBERO's four suites in percent, and image tokens kept of 512."""

    success: float
    tokens: int | None = None


# Table III: weights trained with another noise: the end of their name, and the table's name of them.
SCHEDULES = {
    OtherNoise.NONE: ("-no-noise", "without noise"),
    OtherNoise.CONSTANT: ("-constant-noise", "without schedule (constant noise)"),
}
# Table IV: the same weights, with as many tokens again at random, or without a tenth of them.
TOKENS = {OtherTokens.MORE: "plus-random", OtherTokens.FEWER: "drop-random"}


@dataclass(frozen=True)
class Ablation:
    """What came of it.  rows: the model, then its variants in the order asked; fewer than asked where a run did not end."""

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
    """Run the model and the variants, all where none is named; what is recorded already is not run again.

    base: the model's own evaluation.  `base.out` is a folder of run folders; without it every run is where `vla-bench eval` would
    put it.  Raises UsageError where there are no weights of a variant, or where there is no pruner to vary.
    """
    if not schedules and not tokens:
        schedules, tokens = tuple(SCHEDULES), tuple(TOKENS)
    names = ["whole", *(f"noise {schedule}" for schedule in schedules), *(f"{much} tokens" for much in tokens)]
    variants = ["LightVLA", *(SCHEDULES[schedule][1] for schedule in schedules)]
    published = [Published(row.average, row.tokens) for row in (paper.table3()[name] for name in variants)]
    published += [Published(paper.table4()[much].average) for much in tokens]

    seed = base.seed
    if tokens:
        base = replace(base, seed=0)  # what is drawn is tokens
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
    """What the model prunes with.  Raises UsageError, before anything runs, where it keeps every image token."""
    inner = str(prepare(base).policy.identity.get("pruner", NONE))
    if inner == NONE:
        raise UsageError(f"{base.model} keeps every image token: none to add or to drop", "vla-bench ablate --model nano")
    return inner


def trained_with(model: str, schedule: str) -> str:
    """The weights beside a model's that were trained with another noise: its name, or its folder's, with an ending."""
    model = DEFAULTS.get(model, model)
    name = model.rstrip("/") + SCHEDULES[schedule][0]
    try:
        there = Path(resolve_model(name).place or "").is_dir()
    except UsageError:
        there = False
    if not there:
        fix = f"vla-bench train --noise-schedule {schedule} ..., and put its checkpoint there"
        raise UsageError(f'no weights of {model} trained with noise "{schedule}": looked for {name}', fix)
    return name


def within(request: EvalRequest, name: str) -> EvalRequest:
    return request if request.out is None else replace(request, out=request.out / name.replace(" ", "-"))
