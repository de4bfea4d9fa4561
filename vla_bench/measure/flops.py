"""`vla-bench flops`: what a query costs, in closed form or as a counter sees it.  One multiply-add is two FLOPs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from vla_bench.errors import MeasureError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import SEVEN_B
from vla_bench.measure.runs import model_of, passes, recorded
from vla_bench.measure.sizes import config_of
from vla_bench.model.costs import Lengths, Scope, macs, mean_gflops, others
from vla_bench.model.costs_decoding import decoding_macs, others_decoding
from vla_bench.pruners.lengths import CUTS, NONE, path_of
from vla_bench.pruners.spec import parse
from vla_bench.values import Counter

PROMPT = 28  # LIBERO's forty instructions have 27.5 tokens in the reference's template, on average

# Table II of the paper: image tokens, TFLOPs.
PAPER = {NONE: (512, 8.8), "lightvla": (78, 3.6), "fastv": (100, 1.9), "flashvla-ics": (192, 0.7), "spvla": (229, 3.1)}


MEASURED = (Counter.TORCH, Counter.FVCORE)
TOLERANCE = {Counter.TORCH: 0.0, Counter.FVCORE: 0.005}  # share of the closed form by which a counter may differ from it


@dataclass(frozen=True)
class FlopsRequest:
    """What the user asked for.

    model: None for 7b, or with a run for the model that it is of.
    pruner: None for every one, at the paper's settings; with a counter other than the closed form, for the paper's two;
        with a run, the run's.
    from_run: count the queries of a run, each as long as it was; then nothing is left for `kept` and `prompt_tokens` to say.
    prompt_tokens: None for PROMPT.
    """

    model: str | None = None
    pruner: str | None = None
    kept: int | None = None
    from_run: Path | None = None
    prompt_tokens: int | None = None
    scope: Scope = Scope.MODEL
    counter: Counter = Counter.CLOSED_FORM


@dataclass(frozen=True)
class Count:
    """One counted case.

    visual_tokens, prompt_tokens: means over the queries.
    layer_mean: image tokens computed, mean over the decoder's layers.
    modules: GFLOP by module.
    paper: TFLOPs in the paper's Table II, None where it has none.
    difference: from the closed form, as a share of it; None for the closed form itself.
    decoded: token by token; the passes of one row are in "llm_linear" and "llm_attention", beside the first.
    """

    model: str
    pruner: str
    scope: Scope
    visual_tokens: float
    prompt_tokens: float
    layer_mean: float
    queries: int
    modules: dict[str, float]
    paper: float | None = None
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
            "visual_tokens_layer_mean": self.layer_mean,
            "prompt_tokens": self.prompt_tokens,
            "queries": self.queries,
            "total_gflops": self.total,
            "modules": self.modules,
            **({"decoding": "ar"} if self.decoded else {}),
            **({} if self.difference is None else {"of_closed_form": 1 + self.difference}),
        }


def count(request: FlopsRequest) -> list[Count]:
    """One case, or one for every pruner; with the counter ALL, each case once a counter.  Raises VlaBenchError."""
    if request.from_run is not None:
        return [_of_run(request)]
    prompt = PROMPT if request.prompt_tokens is None else request.prompt_tokens
    if prompt < 1:
        raise UsageError(f"--prompt-tokens {prompt}: an instruction has at least 1", f"vla-bench flops --prompt-tokens {PROMPT}")
    request = replace(request, model=request.model or SEVEN_B.name, prompt_tokens=prompt)
    config = config_of(request.model)
    if request.counter is Counter.CLOSED_FORM:
        return _cases(request, config)
    found = []
    for case in _cases(request, config):
        counters = MEASURED if request.counter is Counter.ALL else (request.counter,)
        found += [case] if request.counter is Counter.ALL else []
        found += [_measured(case, config, counter) for counter in counters]
    return found


def _measured(case: Count, config: VLAConfig, counter: Counter) -> Count:
    """The same case by a counter.  Raises MeasureError where the closed form is not what torch counts, module by module."""
    from vla_bench.measure.counters import count_fvcore, count_torch
    from vla_bench.measure.meta import meta_query, run

    kept, prompt = round(case.visual_tokens), round(case.prompt_tokens)
    query = meta_query(config, case.pruner, case.scope, prompt, kept)
    flops = run(query, count_torch if counter is Counter.TORCH else count_fvcore)
    path = path_of(case.pruner, config, prompt, kept)
    closed = {name: 2 * cost for name, cost in macs(config, path.lengths, case.scope, path.own).items()}
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
        return [_case(request, config, _checked(request.pruner), request.kept)]
    if request.kept is not None:
        return [_case(request, config, "lightvla", request.kept)]
    names = (*CUTS, "sparsevlm") if request.counter is Counter.CLOSED_FORM else (NONE, "lightvla")
    return [_at_the_papers_settings(request, config, name) for name in names]


def _checked(pruner: str) -> str:
    """In its one spelling, with profiles spelled out; the bare name of a method that is counted here needs no look at its
    class, which would import torch.  Raises UsageError for what is no pruner."""
    if "(" not in pruner and parse(pruner).name in (*CUTS, "sparsevlm"):
        return pruner
    from vla_bench.pruners.registry import spelled

    return spelled(pruner)


def _case(request: FlopsRequest, config: VLAConfig, pruner: str, kept: int | None, paper: float | None = None) -> Count:
    path = path_of(pruner, config, request.prompt_tokens, kept)
    found = mean_gflops([macs(config, path.lengths, request.scope, path.own)])
    return Count(
        request.model,
        pruner,
        request.scope,
        path.lengths.visual[-1],
        request.prompt_tokens,
        path.layer_mean,
        1,
        found,
        paper,
    )


def _at_the_papers_settings(request: FlopsRequest, config: VLAConfig, name: str) -> Count:
    """As many tokens as its Table II says, else the method's own share, else LightVLA's; smaller models in proportion."""
    tokens, tflops = PAPER.get(name, (None, None))
    if tokens is None and name in CUTS and CUTS[name].keep is None:
        tokens = PAPER["lightvla"][0]
    kept = None if tokens is None else round(tokens * config.visual_tokens / 512)
    return _case(request, config, name, kept, tflops)


def _of_run(request: FlopsRequest) -> Count:
    """Mean over the recorded queries that took a pass, each with its own counts."""
    again = f"vla-bench flops --from-run {request.from_run}"
    if request.counter is not Counter.CLOSED_FORM:
        raise UsageError(
            f"--counter {request.counter.value} runs the model once a query, and a run has many; --from-run has the closed form",
            again,
        )
    for option, given in (("--kept", request.kept), ("--prompt-tokens", request.prompt_tokens)):
        if given is not None:
            raise UsageError(f"{option} {given} beside --from-run: every recorded query has its own", again)
    run, answers = recorded(request.from_run), passes(request.from_run)
    model, config = model_of(run, request.from_run, request.model)
    policy = run.config["policy"]
    pruner = str(policy.get("pruner", NONE)) if request.pruner is None else _checked(request.pruner)
    decoded = policy.get("decoding") == "ar"
    costs, layer_means = [], []
    for answer in answers:
        path = path_of(pruner, config, answer.prompt_tokens, sum(answer.kept))
        costs.append((_decoded if decoded else macs)(config, path.lengths, request.scope, path.own))
        layer_means.append(path.layer_mean)
    number = len(answers)
    return Count(
        model,
        pruner,
        request.scope,
        sum(sum(a.kept) for a in answers) / number,
        sum(a.prompt_tokens for a in answers) / number,
        sum(layer_means) / number,
        number,
        mean_gflops(costs),
        decoded=decoded,
    )


def _decoded(config: VLAConfig, lengths: Lengths, scope: Scope, pruner: int) -> dict[str, int]:
    """A query decoded token by token, its passes of one row with those of all rows."""
    found = decoding_macs(config, lengths, scope, pruner)
    for part in ("linear", "attention"):
        found[f"llm_{part}"] += found.pop(f"decode_{part}")
    return found


def explain(count: Count, config: VLAConfig) -> list[str]:
    """The formula with this case's numbers; of a run, with its mean query's."""
    prompt = round(count.prompt_tokens)
    llm, rest = config.llm, (others_decoding if count.decoded else others)(config, prompt)
    path = path_of(count.pruner, config, prompt, round(count.visual_tokens))
    linear, attention = 2 * (4 * llm.width**2 + 3 * llm.width * llm.mlp), 4 * llm.width
    groups: list[tuple[int, int]] = []  # (image tokens, layers)
    for visual in path.lengths.visual:
        same = groups and groups[-1][0] == visual
        groups = [*groups[:-1], (visual, groups[-1][1] + 1)] if same else [*groups, (visual, 1)]
    behind = "" if count.decoded else f" + action slots {config.slots} + stop 1"
    steps = config.action_dim - 1
    return [
        "1 multiply-add = 2 FLOPs; norms, activations, softmax, RoPE and gathers are not counted; attention is full",
        *([f"these are the mean query's numbers; above is the mean of {count.queries} queries"] if count.queries > 1 else []),
        f"tokens that are no image tokens: BOS 1 + proprio {1 if config.proprio_dim else 0} + prompt {prompt}{behind} = {rest}",
        f"a decoder layer on N tokens: {linear:,} N + {attention:,} N^2",
        *(f"  {layers} layers on N = {visual} + {rest} = {visual + rest}" for visual, layers in groups),
        *([f"and {steps} passes of one row, which sees N + 1 to N + {steps} tokens"] if count.decoded else []),
        f"a ViT block on T tokens: 2 T (4 d^2 + 2 d m) + 4 T^2 d; DINOv2 T = {config.patches + config.dino.prefix}, "
        f"SigLIP T = {config.patches}; {config.cameras} cameras",
        f"projector: {path.lengths.projected} tokens; pruner itself: {2e-9 * path.own:.4f} GFLOP",
    ]
