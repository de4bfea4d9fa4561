"""How many image tokens every decoder layer computes under each pruner, from its arguments alone.

Needs no torch, so that FLOPs are counted in no time; a test holds it against the tokens in a running model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.model.costs import Lengths, others
from vla_bench.pruners import costs as pruner_costs
from vla_bench.pruners.costs import Case
from vla_bench.pruners.shares import count, count_per_camera
from vla_bench.pruners.sparsevlm_releases import RELEASES, fitted, scaled, sizes
from vla_bench.pruners.spec import Spec, canonical, parse

NONE = "none"
CHANGE_THE_COUNT = ("plus-random", "drop-random")


@dataclass(frozen=True)
class Cut:
    """A method that lets image tokens leave once.

    keep: share that stays by default; None where the input decides, and `kept` has to be given.
    layer: before which decoder layer they leave, unless an argument says otherwise; None: never in the decoder.
    before_projector: they leave before they are projected.
    quota: "per_image" where the share is rounded for every camera, unless an argument says otherwise.
    own: multiply-adds of the method itself.
    """

    keep: float | None
    layer: int = 0
    before_projector: bool = False
    quota: str = "per_image"
    own: Callable[[Case], int] = pruner_costs.nothing


CUTS: dict[str, Cut] = {
    NONE: Cut(1.0),
    "lightvla": Cut(None, own=pruner_costs.lightvla),
    "lightvla-star-vision": Cut(None, before_projector=True, own=pruner_costs.lightvla_star),
    "lightvla-star-llm1": Cut(None, 1, own=pruner_costs.lightvla_star),
    "lightvla-star-llm2": Cut(None, 2, own=pruner_costs.lightvla_star),
    "lightvla-star-llm3": Cut(None, 3, own=pruner_costs.lightvla_star),
    "random": Cut(0.25),
    "grid": Cut(0.25),
    "pool": Cut(None, own=pruner_costs.pool),  # as many cells as an even lattice has
    "score-norm": Cut(0.25),
    "score-text": Cut(0.25),
    "score-siglip": Cut(0.25, own=pruner_costs.siglip_attention),
    "score-lightvla": Cut(0.25, own=pruner_costs.score_lightvla),
    "fastv": Cut(0.25, 2, own=pruner_costs.fastv),
    "divprune": Cut(0.25, own=pruner_costs.divprune),
    "flashvla-ics": Cut(0.625, 2, own=pruner_costs.flashvla),
    "spvla": Cut(None, before_projector=True, own=pruner_costs.siglip_attention),
    "efficientvla-tokens": Cut(0.4375, 2, own=pruner_costs.efficientvla),
    "vla-adp": Cut(0.5, quota="global", own=pruner_costs.vla_adp),
    "vla-pruner": Cut(0.25, 3, own=pruner_costs.vla_pruner),
}


@dataclass(frozen=True)
class Path:
    """What a query's image tokens go through: `lengths`, and multiply-adds of the pruner itself."""

    lengths: Lengths
    own: int

    @property
    def layer_mean(self) -> float:
        """Image tokens computed, mean over the decoder's layers."""
        return sum(self.lengths.visual) / len(self.lengths.visual)


def path_of(
    pruner: str, config: VLAConfig, prompt: int, kept: int | None = None, args: Mapping[str, object] | None = None
) -> Path:
    """The path under a pruner.

    kept: image tokens left behind the last cut; None follows from the pruner's arguments.
    Raises UsageError for a pruner whose path is not known in closed form, and where `kept` is needed.
    """
    spec = parse(pruner)
    if spec.name in CHANGE_THE_COUNT and kept is None:
        raise UsageError(f"{spec.name} changes how many tokens are kept", f'vla-bench flops --pruner "{pruner}" --kept 78')
    while spec.inner is not None:  # wrappers act where the pruner inside acts
        spec = spec.inner
    spec = Spec(spec.name, None, canonical(spec.name, spec.args | dict(args or {})))
    if spec.name == "sparsevlm":
        return _sparsevlm(config, prompt, kept, spec.args)
    if spec.name not in CUTS:
        raise UsageError(f'what each layer computes under "{spec.name}" depends on the input', "vla-bench flops --pruner fastv")
    cut, total = CUTS[spec.name], config.visual_tokens
    if kept is None:
        kept = _by_arguments(spec, cut, config)
    if not 0 <= kept <= total:
        raise UsageError(f"--kept {kept} is not between 0 and the model's {total} image tokens", "vla-bench flops --kept 78")
    layer = int(spec.args.get("layer", cut.layer))
    if layer >= config.llm.layers:
        raise UsageError(f"{spec.name} before layer {layer}, and the decoder has {config.llm.layers} layers", "vla-bench pruners")
    visual = (total,) * layer + (kept,) * (config.llm.layers - layer)
    own = cut.own(Case(config, prompt, kept, layer, spec.args))
    return Path(Lengths(prompt, visual, kept if cut.before_projector else total), own)


def _by_arguments(spec: Spec, cut: Cut, config: VLAConfig) -> int:
    if cut.keep is None:
        raise UsageError(
            f"{spec.name} keeps as many tokens as its input or its lattice asks for",
            f"vla-bench flops --pruner {spec.name} --kept 78",
        )
    keep = float(spec.args.get("keep", cut.keep))
    if spec.args.get("quota", cut.quota) == "per_image" and count(keep, config.visual_tokens) < config.visual_tokens:
        return sum(count_per_camera(keep, config.patches, config.cameras))
    return count(keep, config.visual_tokens)


def _sparsevlm(config: VLAConfig, prompt: int, kept: int | None, args: Mapping[str, object]) -> Path:
    """Several cuts, behind each of which some of those that leave come back merged."""
    variant = str(args.get("variant", "v1.5"))
    release = RELEASES.get(variant)
    if release is None or not release.budgets:
        raise UsageError(f"what each layer computes under sparsevlm(variant={variant}) depends on the input", "vla-bench pruners")
    counts = _numbers(args.get("counts", ()))
    table = counts or [scaled(n, config.visual_tokens) for n in release.budgets[int(args.get("budget", 192))]]
    cuts = _numbers(args.get("layers", ())) or fitted(release.cuts, config.llm.layers)
    width, head = config.llm.width, config.llm.width // config.llm.heads
    visual, own, left = [], config.visual_tokens * prompt * width, config.visual_tokens
    for cut, number in zip(cuts, table, strict=True):
        visual += [left] * (cut + 1 - len(visual))
        # The raters' attention; of v2 also what RoPE alone would make of it.
        own += prompt * (others(config, prompt) + left) * (width + (head if release.unrotates else 0))
        stay = min(number, left)
        recycled, groups = sizes(left - stay) if release.recycles else (0, 0)
        own += groups * recycled * width
        left = stay + groups
    visual += [left] * (config.llm.layers - len(visual))
    if kept not in (None, left):
        raise UsageError(f"under sparsevlm {left} image tokens are left, not {kept}", "vla-bench flops --pruner sparsevlm")
    return Path(Lengths(prompt, tuple(visual), config.visual_tokens), own)


def _numbers(given: object) -> list[int]:
    """Layers or counts as `--pruner` spells them: 2/6/15."""
    return [int(part) for part in str(given).split("/")] if isinstance(given, str) else list(given)
