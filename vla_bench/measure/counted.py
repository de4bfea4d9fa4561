"""A pruner whose FLOPs are counted, with the number of image tokens that it keeps at each of its sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import SEVEN_B
from vla_bench.interface.pruner import Pruner, attach
from vla_bench.paper import published_cost
from vla_bench.pruners.registry import NONE, make_pruner, pruner_class
from vla_bench.pruners.spec import parse
from vla_bench.trace import Cut


@dataclass(frozen=True)
class Counted:
    """label: as in run.json.  pruner: attached to the sizes; None for none.  cuts: of a query in which it prunes."""

    label: str
    pruner: Pruner | None
    cuts: tuple[Cut, ...]


def counted(text: str, config: VLAConfig, kept: Sequence[int] = (), always: bool = False) -> Counted:
    """The pruner that `text` describes.

    kept: image tokens after each cut, or one number for all cuts; empty where the pruner's arguments give them.
    always: with the arguments that make it prune every query.
    Raises UsageError for an unknown pruner, for a number that it cannot keep, and where the number depends on the input and
    `kept` is empty.
    """
    pruner = make_pruner(text, _always(text) if always else None)
    if pruner is None:
        if kept and kept[-1] != config.visual_tokens:
            raise UsageError(
                f"without a pruner {config.visual_tokens} image tokens are kept, not {kept[-1]}", "--pruner lightvla"
            )
        return Counted(NONE, None, ())
    for number in kept:
        if number > config.visual_tokens:
            raise UsageError(
                f"--kept {number} is not between 0 and the model's {config.visual_tokens} image tokens",
                f"vla-bench flops --kept {papers_count('lightvla', config)}",
            )
    innermost = pruner.innermost
    settable = len(kept) == 1 and innermost.keep is not None and not pruner.changes_the_count
    if settable:
        innermost.keep = _as_keep(kept[0], config)
    attach(pruner, config)
    cuts = pruner.expected(config, () if settable else kept)
    if cuts is None and settable:
        cuts = pruner.expected(config, kept)
    if cuts is None:
        raise UsageError(f"how many image tokens {pruner.label} keeps depends on the input", _hint(pruner, config))
    left = cuts[-1].after if cuts else config.visual_tokens
    if kept and left != kept[-1]:
        raise UsageError(
            f"{pruner.label} keeps {left} of {config.visual_tokens} image tokens, and cannot keep {kept[-1]}",
            f'vla-bench flops --pruner "{pruner.label}" --kept {left}',
        )
    return Counted(text if "(" not in text else pruner.label, pruner, cuts)


def papers_count(name: str, config: VLAConfig) -> int:
    """Image tokens that Table II has for a method, in proportion to this model's number of them."""
    return round(published_cost(name).tokens * config.visual_tokens / SEVEN_B.visual_tokens)


def _as_keep(number: int, config: VLAConfig) -> float:
    """A number of image tokens as the argument `keep`, which is a number above 1 and a share up to 1."""
    if number in (0, config.visual_tokens):
        return number / config.visual_tokens
    return max(number, 1.25)  # 1 itself is a share: all tokens


def _always(text: str) -> dict[str, object]:
    spec = parse(text)
    while spec.inner is not None:
        spec = spec.inner
    return {} if spec.name == NONE else dict(pruner_class(spec.name).always)


def _hint(pruner: Pruner, config: VLAConfig) -> str:
    number = papers_count("lightvla", config)
    cuts = len(pruner.cutting_sites)
    numbers = "/".join([str(number)] * cuts)
    note = "" if config.visual_tokens != SEVEN_B.visual_tokens or cuts > 1 else ", the paper's number for LightVLA"
    return f'vla-bench flops --model {config.name} --pruner "{pruner.label}" --kept {numbers}{note}'
