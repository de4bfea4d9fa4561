"""`vla-bench flops`: the cost of a query, in closed form or by a counter.  One multiply-add is two FLOPs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vla_bench.errors import MeasureError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.layout import Span
from vla_bench.interface.lengths import Case, Lengths
from vla_bench.interface.presets import SEVEN_B
from vla_bench.interface.pruner import attach
from vla_bench.measure.counted import counted, cuts_of_count, mean_cuts
from vla_bench.measure.runs import model_of, recorded, recorded_passes
from vla_bench.measure.sizes import config_of
from vla_bench.measure.typical import PROMPT, kept_tokens, paper_model, prompt_tokens
from vla_bench.model.costs import mean_gflops, others
from vla_bench.model.costs_decoding import others_decoding
from vla_bench.model.query_costs import query_macs
from vla_bench.paper import PublishedCost, published_cost
from vla_bench.pruners.names import NONE
from vla_bench.pruners.registry import choosing, make_pruner
from vla_bench.trace import Cut
from vla_bench.values import Counter, Scope

# Pruners whose number in Table II is not what they keep: SparseVLM's follows from its budget, VLA-Cache's are reused.
OWN_NUMBERS, REUSING = ("sparsevlm",), ("vla-cache",)
MEASURED = (Counter.TORCH, Counter.FVCORE)
TOLERANCE = {Counter.TORCH: 0.0, Counter.FVCORE: 0.005}  # share of the closed form by which a counter may differ from it


@dataclass(frozen=True)
class FlopsRequest:
    """The options of `vla-bench flops`.

    model: None for 7b, or for the run's with `from_run`.
    pruner: None for all of them, at the paper's settings; for the paper's two with a counter other than the closed form;
        for the run's with `from_run`.
    kept: image tokens after each of the pruner's cuts, or one number for all cuts; empty where its arguments give them.
    from_run: count the recorded queries of a run; each has its own `kept` and `prompt_tokens`, which must not be given.
    prompt_tokens: None for the model's typical length.
    """

    model: str | None = None
    pruner: str | None = None
    kept: tuple[int, ...] = ()
    from_run: Path | None = None
    prompt_tokens: int | None = None
    scope: Scope = Scope.MODEL
    counter: Counter = Counter.CLOSED_FORM


@dataclass(frozen=True)
class Count:
    """One counted case.

    visual_tokens: image tokens before pruning.  kept_tokens, prompt_tokens: means over the queries.
    layer_mean: image tokens computed, mean over the decoder's layers.
    cuts: image tokens at each pruning site; means over the queries.
    modules: GFLOP by module.
    paper: the paper's Table II on this model with this pruner, None where it has none.
    difference: from the closed form, as a share of it; None for the closed form itself.
    decoded: token by token; the passes of one row are counted in "llm_linear" and "llm_attention".
    """

    model: str
    pruner: str
    scope: Scope
    visual_tokens: int
    kept_tokens: float
    prompt_tokens: float
    layer_mean: float
    queries: int
    modules: dict[str, float]
    cuts: tuple[Cut, ...] = ()
    paper: PublishedCost | None = None
    counter: Counter = Counter.CLOSED_FORM
    difference: float | None = None
    decoded: bool = False

    @property
    def total(self) -> float:
        return sum(self.modules.values())

    @property
    def agrees(self) -> bool:
        return self.difference is None or abs(self.difference) <= TOLERANCE[self.counter]

    def to_dict(self) -> dict[str, object]:
        return {
            "model": self.model,
            "pruner": self.pruner,
            "scope": self.scope.value,
            "unit": "FLOP = 2 x MAC",
            "counter": self.counter.value,
            "visual_tokens": self.visual_tokens,
            "kept_tokens": self.kept_tokens,
            "layer_tokens_mean": self.layer_mean,
            "prompt_tokens": self.prompt_tokens,
            "queries": self.queries,
            "total_gflops": self.total,
            "modules": self.modules,
            **({"decoding": "ar"} if self.decoded else {}),
            **({} if self.difference is None else {"of_closed_form": 1 + self.difference}),
        }


def parse_kept(text: str | None) -> tuple[int, ...]:
    """Numbers of image tokens as `--kept` takes them: 78, or after several cuts 300/200/110.  Raises UsageError."""
    parts = [] if text is None else text.split("/")
    if not all(part.strip().isdecimal() and len(part) < 10 for part in parts):
        raise UsageError(
            f'--kept "{text}" is no number of image tokens, nor such numbers with / between', "vla-bench flops --kept 78"
        )
    return tuple(map(int, parts))


def count(request: FlopsRequest) -> list[Count]:
    """One case, or one for every pruner; with the counter ALL, each case once a counter.  Raises VlaBenchError."""
    if request.from_run is not None:
        return [_of_run(request)]
    model = request.model or SEVEN_B.name
    config = config_of(model)
    prompt = prompt_tokens(config) if request.prompt_tokens is None else request.prompt_tokens
    if prompt < 1:
        raise UsageError(f"--prompt-tokens {prompt}: an instruction has at least 1", f"vla-bench flops --prompt-tokens {PROMPT}")
    if not config.l1_head and request.counter is not Counter.CLOSED_FORM:
        what = f"--counter {request.counter.value} counts one pass, and {model} decodes token by token"
        raise UsageError(what, f"vla-bench flops --model {model}")
    request = replace(request, model=model, prompt_tokens=prompt)
    if request.counter is Counter.CLOSED_FORM:
        return _cases(request, config)
    counted_cases = []
    for case in _cases(request, config):
        counters = MEASURED if request.counter is Counter.ALL else (request.counter,)
        counted_cases += [case] if request.counter is Counter.ALL else []
        counted_cases += [_measured(case, config, counter) for counter in counters]
    return counted_cases


def _measured(case: Count, config: VLAConfig, counter: Counter) -> Count:
    """The same case by a counter.  Raises MeasureError where torch and the closed form differ in any module."""
    from vla_bench.measure.counters import count_fvcore, count_torch
    from vla_bench.measure.meta import meta_query, run

    prompt, kept = round(case.prompt_tokens), tuple(cut.after for cut in case.cuts)
    watched = counted(case.pruner, config, kept, always=True)
    flops = run(meta_query(config, watched, case.scope, prompt), count_torch if counter is Counter.TORCH else count_fvcore)
    macs = query_macs(watched.pruner, Case(config, prompt, watched.cuts), case.scope)
    closed = {name: 2 * cost for name, cost in macs.items()}
    different = [name for name in {**closed, **flops} if flops.get(name, 0) != closed.get(name, 0)]
    if counter is Counter.TORCH and different:
        figures = "; ".join(f"{name} {closed.get(name, 0):,} and {flops.get(name, 0):,}" for name in different)
        raise MeasureError(
            f"{case.pruner}, scope {case.scope.value}: the closed form and torch count different FLOPs: {figures}",
            "vla-bench flops --explain, and report both",
        )
    difference = sum(flops.values()) / sum(closed.values()) - 1
    gflops = {name: 1e-9 * flops.get(name, 0) for name in closed}
    return replace(case, modules=gflops, counter=counter, difference=difference)


def _cases(request: FlopsRequest, config: VLAConfig) -> list[Count]:
    """In closed form."""
    if request.pruner is not None:
        return [_case(request, config, request.pruner, request.kept)]
    if request.kept:
        return [_case(request, config, "lightvla", request.kept)]
    names = ["lightvla"] if request.counter is not Counter.CLOSED_FORM else choosing()
    return [_at_the_papers_settings(request, config, name) for name in (NONE, *names) if _possible(name, config)]


def _possible(name: str, config: VLAConfig) -> bool:
    """Whether a pruner can work with a model at all: without action slots there is no attention of them."""
    pruner = None if name == NONE or config.l1_head else make_pruner(name)
    return pruner is None or not any(rows.span is Span.SLOTS for rows in pruner.rows)


def _case(
    request: FlopsRequest, config: VLAConfig, pruner: str, kept: Sequence[int], paper: PublishedCost | None = None
) -> Count:
    pruned = counted(pruner, config, kept)
    case = Case(config, request.prompt_tokens, pruned.cuts, decoded=not config.l1_head)
    return Count(
        model=request.model,
        pruner=pruned.label,
        scope=request.scope,
        visual_tokens=config.visual_tokens,
        kept_tokens=case.lengths.visual[-1],
        prompt_tokens=request.prompt_tokens,
        layer_mean=case.lengths.layer_mean,
        queries=1,
        modules=mean_gflops([_folded(query_macs(pruned.pruner, case, request.scope))]),
        cuts=pruned.cuts,
        paper=paper,
        decoded=case.decoded,
    )


def _at_the_papers_settings(request: FlopsRequest, config: VLAConfig, name: str) -> Count:
    """With the tokens of Table II, else the method's own share, else as many as LightVLA keeps."""
    published = published_cost(name, paper_model(config) or "")
    if published is not None and name not in OWN_NUMBERS:
        kept = config.visual_tokens - published.tokens if name in REUSING else published.tokens
        return _case(request, config, name, [kept], published)
    try:
        return _case(request, config, name, (), published)
    except UsageError:  # the number depends on the input
        return _case(request, config, name, [kept_tokens(config)])


def _of_run(request: FlopsRequest) -> Count:
    """Mean over the recorded queries with a forward pass, each with its own cuts."""
    again = f"vla-bench flops --from-run {request.from_run}"
    if request.counter is not Counter.CLOSED_FORM:
        raise UsageError(
            f"--counter {request.counter.value} cannot be used for the queries of a run",
            again,
        )
    for option, given in (("--kept", request.kept or None), ("--prompt-tokens", request.prompt_tokens)):
        if given is not None:
            raise UsageError(f"{option} {given} with --from-run: every recorded query has its own", again)
    run, queries = recorded(request.from_run), recorded_passes(request.from_run)
    model, config = model_of(run, request.from_run, request.model)
    policy = run.config["policy"]
    text, decoded = str(policy.get("pruner", NONE)), policy.get("decoding") == "ar"
    pruner = make_pruner(text if request.pruner is None else request.pruner)
    if pruner is not None:
        attach(pruner, config)
    traced = request.pruner is None  # another pruner: the same number kept at the end, its own sites
    cuts = [query.trace.cuts if traced and query.trace else cuts_of_count(pruner, config, sum(query.kept)) for query in queries]
    cases = [Case(config, query.prompt_tokens, own, decoded) for query, own in zip(queries, cuts, strict=True)]
    known = {case: _folded(query_macs(pruner, case, request.scope)) for case in set(cases)}
    number = len(cases)
    return Count(
        model=model,
        pruner=NONE if pruner is None else pruner.label,
        scope=request.scope,
        visual_tokens=config.visual_tokens,
        kept_tokens=sum(sum(query.kept) for query in queries) / number,
        prompt_tokens=sum(query.prompt_tokens for query in queries) / number,
        layer_mean=sum(case.lengths.layer_mean for case in cases) / number,
        queries=number,
        modules=mean_gflops([known[case] for case in cases]),
        cuts=mean_cuts(cuts),
        decoded=decoded,
    )


def _folded(costs: dict[str, int]) -> dict[str, int]:
    """Add the one-row passes of token-by-token decoding to the LLM's first pass."""
    for part in ("linear", "attention"):
        if f"decode_{part}" in costs:
            costs[f"llm_{part}"] += costs.pop(f"decode_{part}")
    return costs


def explain(count: Count, config: VLAConfig) -> list[str]:
    """Lines with the formula and this case's numbers; for a run, those of its mean query."""
    prompt = round(count.prompt_tokens)
    llm, rest = config.llm, (others_decoding if count.decoded else others)(config, prompt)
    lengths = Lengths.after(config, prompt, count.cuts)
    linear, attention = 2 * (4 * llm.width**2 + 3 * llm.width * llm.mlp), 4 * llm.width
    groups: list[tuple[int, int]] = []  # (image tokens, layers)
    for visual in lengths.visual:
        same = groups and groups[-1][0] == visual
        groups = [*groups[:-1], (visual, groups[-1][1] + 1)] if same else [*groups, (visual, 1)]
    behind = "" if count.decoded else f" + action slots {config.slots} + stop 1"
    steps = config.action_dim - 1
    return [
        "1 multiply-add = 2 FLOPs; norms, activations, softmax, RoPE and gathers are not counted; attention is full",
        *([f"these are the mean query's numbers; above is the mean of {count.queries} queries"] if count.queries > 1 else []),
        f"other tokens: BOS 1 + proprio {1 if config.proprio_dim else 0} + prompt {prompt}{behind} = {rest}",
        f"a decoder layer on N tokens: {linear:,} N + {attention:,} N^2",
        *(f"  {layers} layers on N = {visual} + {rest} = {visual + rest}" for visual, layers in groups),
        *([f"and {steps} passes of one row, which sees N + 1 to N + {steps} tokens"] if count.decoded else []),
        f"a ViT block on T tokens: {vit_block(config)}; DINOv2 T = {config.vit_tokens(config.dino)}, "
        f"SigLIP T = {config.vit_tokens(config.siglip)}; {config.cameras} cameras",
        f"projector: {lengths.projected} tokens; pruner itself: {count.modules['pruner']:.4f} GFLOP",
    ]


def vit_block(config: VLAConfig) -> str:
    """The FLOPs of a block of a vision transformer as a formula."""
    alone, whole = "2 T (2 d^2 + 2 d m)", "2 T (4 d^2 + 2 d m) + 4 T^2 d"
    if not config.reach:
        return whole if config.reach is None else f"{alone}, as a patch sees itself alone"
    return f"{whole} in the first {config.reach}, {alone} behind them"
