"""What `vla-bench flops` prints."""

from __future__ import annotations

import sys

from vla_bench.measure.flops import TOLERANCE, Count, Counter
from vla_bench.paper import COUNTED
from vla_bench.report.latex import latex_table
from vla_bench.tables import print_table
from vla_bench.terminal import show

MODULES = ("dino", "siglip", "projector", "proprio", "pruner", "llm_linear", "llm_attention", "head", "lm_head")


def columns(counts: list[Count]) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and rows in GFLOP; modules that none of the cases has are left out."""
    digits = 1 if counts[0].total > 100 else 4
    modules = [name for name in MODULES if any(count.modules.get(name) for count in counts)]
    papers = any(count.paper is not None for count in counts)
    counters = any(count.counter is not Counter.CLOSED_FORM for count in counts)
    header = (
        "pruner",
        *(["counter"] if counters else []),
        "tokens",
        "a layer",
        *map(_heading, modules),
        "GFLOP",
        "of dense",
    )
    dense = {count.counter: count.total for count in counts if count.pruner == "none"}
    rows = []
    for count in counts:
        share = f"{100 * count.total / dense[count.counter]:.1f} %" if count.counter in dense else "-"
        cells = [f"{count.modules.get(name, 0):.{digits}f}" for name in modules]
        name = [count.pruner, count.counter.value] if counters else [count.pruner]
        row = [*name, f"{count.kept_tokens:.1f}", f"{count.layer_mean:.1f}", *cells, f"{count.total:.{digits}f}", share]
        rows.append([*row, "" if count.paper is None else f"{count.paper.tflops:.1f} T"] if papers else row)
    return ((*header, "paper") if papers else header), rows


def _heading(module: str) -> str:
    """A module's column; "pruner" is the column of the pruners' names."""
    return "pruning" if module == "pruner" else module.replace("_", " ")


def print_flops(counts: list[Count]) -> None:
    first = counts[0]
    queries = f"mean of {first.queries} recorded queries" if first.queries > 1 else "one query"
    queries += ", its action tokens decoded one after another" if first.decoded else ""
    title = (
        f"{first.model}, {queries}, {first.prompt_tokens:.1f} prompt tokens, scope {first.scope.value}; "
        "FLOP = 2 x multiply-adds of matrix products and convolutions"
    )
    print_table(*columns(counts), title, details=list(map(_heading, MODULES)))
    for line in agreement(counts):
        show(line)
    for line in about_the_paper(counts):
        show(line, file=sys.stderr)


def about_the_paper(counts: list[Count]) -> list[str]:
    """What each of the paper's figures beside ours counts: its Table II mixes units."""
    beside = list(dict.fromkeys(count.paper for count in counts if count.paper is not None))
    lines = [f"  {cost.method}, {cost.tokens} tokens, {cost.tflops} T: {COUNTED[cost.method]}" for cost in beside]
    return ["The paper's TFLOPs (Table II) count different things:", *lines] if lines else []


def agreement(counts: list[Count]) -> list[str]:
    """One line a counter: does it agree with the closed form?"""
    lines = []
    for count in counts:
        if count.difference is None:
            continue
        tolerance = TOLERANCE[count.counter]
        allowed = f"{100 * tolerance:g} % allowed" if tolerance else "none allowed"
        verdict = "agrees with" if count.agrees else "DISAGREES with"
        if count.difference == 0:
            what = "the same number"
        else:
            what = f"{100 * count.difference:+.4f} %"
        lines.append(f"{count.pruner}: {count.counter.value} {verdict} the closed form: {what} ({allowed})")
    return lines


def latex(counts: list[Count]) -> str:
    """A booktabs table."""
    return latex_table(*columns(counts))
