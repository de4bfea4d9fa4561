"""A pruner whose FLOPs are counted, with the number of image tokens that it keeps at each of its sites."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import SEVEN_B
from vla_bench.interface.pruner import Pruner, attach
from vla_bench.interface.sites import Site
from vla_bench.measure.typical import kept_tokens
from vla_bench.pruners.names import NONE
from vla_bench.pruners.registry import make_pruner, pruner_class
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
        if not 1 <= number <= config.visual_tokens:
            raise UsageError(
                f"--kept {number} is not between 1 and the model's {config.visual_tokens} image tokens",
                f"vla-bench flops --kept {kept_tokens(config)}",
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


def cuts_of_count(pruner: Pruner | None, config: VLAConfig, kept: int) -> tuple[Cut, ...]:
    """The cuts of a query of which only the kept tokens are known.  Raises UsageError where several cuts are possible."""
    if pruner is None or kept == config.visual_tokens:
        return ()
    own = pruner.expected(config)
    if own is not None and own and own[-1].after == kept:
        return own
    if len(pruner.cutting_sites) > 1:
        raise UsageError(
            f"this run recorded only the tokens kept at the end, and {pruner.label} cuts {len(pruner.cutting_sites)} times",
            "run it again with this version of vla-bench, which records every cut",
        )
    return pruner.expected(config, [kept])


def mean_cuts(queries: Sequence[tuple[Cut, ...]]) -> tuple[Cut, ...]:
    """Rounded means over the queries, at every site where any of them was cut."""
    sites = sorted({cut.site for cuts in queries for cut in cuts}, key=lambda site: Site.parse(site).order)
    means = []
    for site in sites:
        own = [cut for cuts in queries for cut in cuts if cut.site == site]
        before, kept, merged = (round(sum(getattr(cut, name) for cut in own) / len(own)) for name in ("before", "kept", "merged"))
        means.append(Cut(site, before, kept, merged, own[0].reused))
    return tuple(means)


def _as_keep(number: int, config: VLAConfig) -> float:
    """A number of image tokens as the argument `keep`, which is a number above 1 and a share up to 1."""
    if number == config.visual_tokens:
        return 1.0
    return max(number, 1.25)  # 1 itself is a share: all tokens


def _always(text: str) -> dict[str, object]:
    spec = parse(text)
    while spec.inner is not None:
        spec = spec.inner
    return {} if spec.name == NONE else dict(pruner_class(spec.name).always)


def _hint(pruner: Pruner, config: VLAConfig) -> str:
    number = kept_tokens(config)
    cuts = len(pruner.cutting_sites)
    numbers = "/".join([str(number)] * cuts)
    note = "" if config.visual_tokens != SEVEN_B.visual_tokens or cuts > 1 else ", the paper's number for LightVLA"
    return f'vla-bench flops --model {config.name} --pruner "{pruner.label}" --kept {numbers}{note}'
