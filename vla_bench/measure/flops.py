"""`vla-bench flops`: what a query costs, counted in closed form.  One multiply-add is two FLOPs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vla_bench.errors import UsageError
from vla_bench.measure.lengths import CUTS, NONE, path_of
from vla_bench.model.config import VLAConfig
from vla_bench.model.config_file import read_config_file
from vla_bench.model.costs import Scope, macs, mean_gflops, others
from vla_bench.model.known import bundled
from vla_bench.model.presets import PRESETS
from vla_bench.queries import read_queries
from vla_bench.records import read_run

PROMPT = 28  # LIBERO's forty instructions have 27.5 tokens in the reference's template, on average

# Table II of the paper: image tokens, TFLOPs.
PAPER = {NONE: (512, 8.8), "lightvla": (78, 3.6), "fastv": (100, 1.9), "flashvla-ics": (192, 0.7), "spvla": (229, 3.1)}


@dataclass(frozen=True)
class FlopsRequest:
    """What the user asked for.  pruner None: every one, at the paper's settings."""

    model: str = "7b"
    pruner: str | None = None
    kept: int | None = None
    from_run: Path | None = None
    prompt_tokens: int = PROMPT
    scope: Scope = Scope.MODEL


@dataclass(frozen=True)
class Count:
    """One counted case.

    visual_tokens, prompt_tokens: means over the queries.
    layer_mean: image tokens computed, mean over the decoder's layers.
    modules: GFLOP by module.
    paper: TFLOPs in the paper's Table II, None where it has none.
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

    @property
    def total(self) -> float:
        return sum(self.modules.values())

    def to_dict(self) -> dict[str, object]:
        return {
            "model": self.model,
            "pruner": self.pruner,
            "scope": self.scope.value,
            "unit": "FLOP = 2 x MAC",
            "counter": "closed-form",
            "visual_tokens": self.visual_tokens,
            "visual_tokens_layer_mean": self.layer_mean,
            "prompt_tokens": self.prompt_tokens,
            "queries": self.queries,
            "total_gflops": self.total,
            "modules": self.modules,
        }


def count(request: FlopsRequest) -> list[Count]:
    """One case, or one for every pruner.  Raises VlaBenchError."""
    config = config_of(request.model)
    if request.from_run is not None:
        return [_of_run(request, config)]
    if request.pruner is not None:
        return [_case(request, config, _checked(request.pruner), request.kept)]
    if request.kept is not None:
        return [_case(request, config, "lightvla", request.kept)]
    return [_at_the_papers_settings(request, config, name) for name in (*CUTS, "sparsevlm")]


def _checked(pruner: str) -> str:
    """In its one spelling, with profiles spelled out; a bare name needs no look at the class, which would import torch."""
    if "(" not in pruner:
        return pruner
    from vla_bench.pruners.registry import spelled

    return spelled(pruner)


def config_of(model: str) -> VLAConfig:
    """The sizes of a preset, a bundled model or a checkpoint folder.  Raises UsageError."""
    if model in PRESETS:
        return PRESETS[model]
    folder = bundled(model) or Path(model)
    if not folder.is_dir():
        raise UsageError(f'"{model}" is no preset ({", ".join(PRESETS)}), bundled model or folder', "vla-bench flops --model 7b")
    return read_config_file(folder).config


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


def _of_run(request: FlopsRequest, config: VLAConfig) -> Count:
    """Mean over the recorded queries, each with its own counts."""
    run = read_run(request.from_run)
    pruner = request.pruner or str(run.config["policy"].get("pruner", NONE))
    answers = [a for found in read_queries(request.from_run).values() for a in found if a.kept is not None]
    if not answers:
        raise UsageError(f"{request.from_run} has no query with image tokens", "vla-bench flops --kept 78")
    costs, layer_means = [], []
    for answer in answers:
        path = path_of(pruner, config, answer.prompt_tokens, sum(answer.kept))
        costs.append(macs(config, path.lengths, request.scope, path.own))
        layer_means.append(path.layer_mean)
    number = len(answers)
    return Count(
        request.model,
        pruner,
        request.scope,
        sum(sum(a.kept) for a in answers) / number,
        sum(a.prompt_tokens for a in answers) / number,
        sum(layer_means) / number,
        number,
        mean_gflops(costs),
    )


def explain(count: Count, config: VLAConfig) -> list[str]:
    """The formula with this case's numbers."""
    llm, rest = config.llm, others(config, round(count.prompt_tokens))
    path = path_of(count.pruner, config, round(count.prompt_tokens), round(count.visual_tokens))
    linear, attention = 2 * (4 * llm.width**2 + 3 * llm.width * llm.mlp), 4 * llm.width
    groups: list[tuple[int, int]] = []  # (image tokens, layers)
    for visual in path.lengths.visual:
        same = groups and groups[-1][0] == visual
        groups = [*groups[:-1], (visual, groups[-1][1] + 1)] if same else [*groups, (visual, 1)]
    return [
        "1 multiply-add = 2 FLOPs; norms, activations, softmax, RoPE and gathers are not counted; attention is full",
        f"tokens that are no image tokens: BOS 1 + proprio {1 if config.proprio_dim else 0} + "
        f"prompt {round(count.prompt_tokens)} + action slots {config.slots} + stop 1 = {rest}",
        f"a decoder layer on N tokens: {linear:,} N + {attention:,} N^2",
        *(f"  {layers} layers on N = {visual} + {rest} = {visual + rest}" for visual, layers in groups),
        f"a ViT block on T tokens: 2 T (4 d^2 + 2 d m) + 4 T^2 d; DINOv2 T = {config.patches + config.dino.prefix}, "
        f"SigLIP T = {config.patches}; {config.cameras} cameras",
        f"projector: {path.lengths.projected} tokens; pruner itself: {2e-9 * path.own:.4f} GFLOP",
    ]
