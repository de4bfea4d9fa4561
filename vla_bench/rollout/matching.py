"""`keep=match:RUN`: as many image tokens as a run kept, suite by suite."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vla_bench.errors import UsageError
from vla_bench.pruners.spec import Spec, parse

MATCH = "match:"
CUTS = (66, 30, 17)  # SparseVLM's smallest budget: `counts=match:RUN` has its cuts in these proportions


def matched(pruner: str | None) -> tuple[str, ...]:
    """The runs whose numbers of image tokens a pruner takes over, in the order of its text.  Raises UsageError."""
    found: dict[str, None] = {}
    spec = None if pruner is None else parse(pruner)
    while spec is not None:
        found |= {str(value)[len(MATCH) :]: None for value in spec.args.values() if str(value).startswith(MATCH)}
        spec = spec.inner
    return tuple(found)


def with_numbers(pruner: str, kept: Callable[[str], float]) -> str:
    """The pruner with a number of image tokens in place of each `match:RUN`.  kept: the mean that a run kept.

    Raises UsageError for fewer than two: `keep=1` is all of them.
    """
    return spelled(_numbered(parse(pruner), kept))


def spelled(spec: Spec) -> str:
    """The text that `vla_bench.pruners.spec.parse` reads as `spec`."""
    parts = ([] if spec.inner is None else [spelled(spec.inner)]) + [f"{key}={value}" for key, value in spec.args.items()]
    return f"{spec.name}({','.join(parts)})" if parts else spec.name


def with_arguments(pruner: str, args: dict[str, object]) -> str:
    """The pruner, or the one that it wraps, with these arguments, too."""
    return spelled(_with_arguments(parse(pruner), args))


def _with_arguments(spec: Spec, args: dict[str, object]) -> Spec:
    if spec.inner is not None:
        return replace(spec, inner=_with_arguments(spec.inner, args))
    return replace(spec, args=spec.args | args)


def _numbered(spec: Spec, kept: Callable[[str], float]) -> Spec:
    args = {}
    for key, value in spec.args.items():
        text = str(value)
        args[key] = _number(key, text, kept(text[len(MATCH) :])) if text.startswith(MATCH) else value
    return replace(spec, inner=None if spec.inner is None else _numbered(spec.inner, kept), args=args)


def _number(key: str, text: str, mean: float) -> str:
    number = round(mean)
    if number < 2:
        raise UsageError(f"{key}={text}: it keeps {mean:.3g} image tokens, and one token cannot be asked for: keep=1 is all")
    if key != "counts":
        return str(number)
    last = CUTS[-1]
    return "/".join(str(max(1, round((number - 1) * share / last))) for share in CUTS)  # a merged token is added behind the last
