"""How a pruner is written on the command line, and how its arguments are checked against the class's own parameters."""

from __future__ import annotations

import inspect
import math
import re
import sys
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from vla_bench.documents import SMALL, read_bytes
from vla_bench.errors import UsageError, nearest
from vla_bench.pruners.shares import KEEP

if TYPE_CHECKING:
    from vla_bench.interface.pruner import Pruner

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LONGEST, DEEPEST = 2000, 10
PROFILE = "profile"
FIX = "vla-bench pruners"
ALIASES = {"fastv": {"k": "layer"}}  # a parameter's name in papers


@dataclass(frozen=True)
class Spec:
    """NAME, NAME(KEY=VALUE, ...) or, for one that wraps another, NAME(SPEC, KEY=VALUE, ...)."""

    name: str
    inner: Spec | None = None
    args: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a pruner: its type as typing has it, and its default."""

    name: str
    kind: object
    default: object


def parse(text: str) -> Spec:
    """Raises UsageError for what is not spelled like a pruner, or wraps more than 10 deep."""
    if len(text) > LONGEST:
        raise UsageError(f'"{text[:60]}..." has {len(text):,} characters, and a pruner at most {LONGEST:,}', FIX)
    return _parse(text, DEEPEST)


def _parse(text: str, depth: int) -> Spec:
    if not depth:
        raise UsageError(f"pruners that wrap others more than {DEEPEST} deep", FIX)
    match = re.fullmatch(r"\s*([\w.-]+)\s*(?:\((.*)\))?\s*", text, re.DOTALL)
    if match is None:
        raise UsageError(f'"{text}" is not spelled like a pruner: fastv, fastv(keep=0.25), inverse(fastv)', FIX)
    name, inside = match.groups()
    inner, args = None, {}
    for part in _split(inside or ""):
        key, equals, value = part.partition("=")
        if equals and "(" not in key:
            args[key.strip()] = value.strip()
        elif inner is None and not args:
            inner = _parse(part, depth - 1)
        else:
            raise UsageError(f'"{part.strip()}" in "{text}" is no argument: KEY=VALUE', FIX)
    return Spec(name, inner, args)


def parse_arguments(text: str) -> dict[str, object]:
    """`layer=3,keep=0.25`, or a TOML file of such lines, as a dictionary.  Raises UsageError."""
    if not text.endswith(".toml"):
        spec = parse(f"x({text})")
        if spec.inner is not None:
            raise UsageError(f'"{text}" are no arguments: layer=3,keep=0.25', FIX)
        return dict(spec.args)
    try:
        return tomllib.loads(read_bytes(Path(text), SMALL).decode())
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{text} cannot be read as TOML: {error}", FIX) from error


def parameters(kind: type[Pruner]) -> list[Parameter]:
    """What `--pruner-args` may set: the keyword parameters of `__init__` whose type can be written down."""
    hints = typing.get_type_hints(kind.__init__)
    signature = inspect.signature(kind.__init__).parameters.values()
    settable = [p for p in signature if p.default is not p.empty and _readable(hints.get(p.name))]
    return [Parameter(p.name, hints[p.name], p.default) for p in settable]


def resolve_aliases(name: str, args: dict[str, object]) -> dict[str, object]:
    """Arguments of a pruner by their names here.  Raises UsageError where one is given under two."""
    others = ALIASES.get(name, {})
    if twice := [key for key in args if key in others and others[key] in args]:
        raise UsageError(f"{name}: {twice[0]} and {others[twice[0]]} are the same", FIX)
    return {others.get(key, key): value for key, value in args.items()}


def arguments(kind: type[Pruner], name: str, given: dict[str, object]) -> dict[str, object]:
    """The given arguments, and those of the profile among them, as values; defaults are left out.  Raises UsageError."""
    known = {p.name: p for p in parameters(kind)}
    given = resolve_aliases(name, given)
    profile = given.pop(PROFILE, None)
    if profile is not None and profile != "ours":
        if profile not in kind.profiles:
            raise UsageError(f'{name} has no profile "{profile}"; it has {", ".join(["ours", *kind.profiles])}', FIX)
        given = {**kind.profiles[profile], **given}
    values = {}
    for key, value in given.items():
        if key not in known:
            raise UsageError(
                f'{name} has no argument "{key}".{nearest(key, list(known))} It has {", ".join(known) or "none"}', FIX
            )
        values[key] = _value(name, known[key], value)
    return {key: values[key] for key in known if key in values and values[key] != known[key].default}


def _split(text: str) -> list[str]:
    """At commas outside of parentheses."""
    parts, depth, start = [], 0, 0
    for i, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            parts.append(text[start:i])
            start = i + 1
    return [part for part in (*parts, text[start:]) if part.strip()]


def _readable(kind: object) -> bool:
    return kind in (bool, int, float, str) or typing.get_origin(kind) in (typing.Literal, tuple)


def _value(name: str, parameter: Parameter, given: object) -> object:
    kind, text = parameter.kind, str(given).strip()
    try:
        if typing.get_origin(kind) is typing.Literal:
            return _choice(text, typing.get_args(kind))
        if typing.get_origin(kind) is tuple:
            values = given if isinstance(given, (tuple, list)) else text.split("/")
            return tuple(typing.get_args(kind)[0](value) for value in values)
        if kind is bool:
            return _choice(text.lower(), ("true", "false")) == "true"
        value = kind(text)
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(text)
        return value
    except ValueError as error:
        expected = KEEP if (parameter.name, kind) == ("keep", float) else _expected(kind)
        raise UsageError(f"{name}: {parameter.name}={text}: {expected}", FIX) from error


def _choice(text: str, known: tuple[str, ...]) -> str:
    if text not in known:
        raise ValueError(text)
    return text


def _expected(kind: object) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return f"one of {', '.join(typing.get_args(kind))}"
    if typing.get_origin(kind) is tuple:
        return "numbers with / between them, such as 66/30/17"
    return {bool: "true or false", int: "a whole number", float: "a number"}[kind]
