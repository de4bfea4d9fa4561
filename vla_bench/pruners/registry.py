"""Pruners by name, as `--pruner` takes them: fastv, fastv(layer=3, keep=0.25), inverse(score-norm), plus-random(lightvla).

Packages add theirs through entry points of the group `vla_bench.pruners`; names are listed without importing any of them.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping

from vla_bench.errors import UsageError, nearest
from vla_bench.interface.pruner import Pruner
from vla_bench.pruners.names import BUILT_IN, NONE, names, plug_ins
from vla_bench.pruners.shares import check_keep
from vla_bench.pruners.spec import Spec, arguments, parse


def choosing() -> list[str]:
    """The names of all built-in pruners but wrappers; a plug-in is imported only where it is named."""
    return [name for name in BUILT_IN if not pruner_class(name).wraps]


def pruner_class(name: str) -> type[Pruner]:
    """The class behind a name.  Raises UsageError for a name that is not known, or whose package cannot be used."""
    if name in BUILT_IN:
        module, _, attribute = BUILT_IN[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    if name not in plug_ins():
        raise UsageError(f'unknown pruner "{name}".{nearest(name, names())} Pruners: {", ".join(names())}', "vla-bench pruners")
    entry = plug_ins()[name]
    try:
        kind = entry.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a foreign package raises while it is imported
        raise UsageError(f'pruner "{name}" of {entry.value} cannot be imported: {error!r}', "vla-bench pruners") from error
    if not (isinstance(kind, type) and issubclass(kind, Pruner)):
        raise UsageError(f'pruner "{name}": {entry.value} is no subclass of vla_bench.Pruner')
    return kind


def make_pruner(text: str, args: Mapping[str, object] | None = None) -> Pruner | None:
    """The pruner that `text` describes, None for "none"; `args` are given beside those in the text.  Raises UsageError."""
    return _make(parse(text), dict(args or {}))


def canonical(text: str, args: Mapping[str, object] | None = None) -> str:
    """The one spelling of a pruner with these arguments, as runs record it.  Raises UsageError."""
    pruner = make_pruner(text, args)
    return NONE if pruner is None else pruner.label


def _make(spec: Spec, more: dict[str, object]) -> Pruner | None:
    if spec.name == NONE:
        if spec.args or spec.inner or more:
            raise UsageError("pruner none has no arguments", "vla-bench eval --pruner none")
        return None
    kind = pruner_class(spec.name)
    inner = None
    if spec.inner is not None:
        inner, more = _make(spec.inner, more), {}  # what is given beside the text is meant for the pruner inside
        if inner is None:
            raise UsageError(f"{spec.name} wraps another pruner, and none is not one")
    values = arguments(kind, spec.name, spec.args | more)
    if (inner is None) != (not kind.wraps):
        lacks = f"needs a pruner: {spec.name}(lightvla)" if inner is None else "takes no pruner"
        raise UsageError(f"{spec.name} {lacks}", "vla-bench pruners")
    if isinstance(values.get("keep"), float):
        check_keep(values["keep"])
    try:
        pruner = kind(**values) if inner is None else kind(inner, **values)
    except TypeError as error:  # a parameter without a default, which nothing here can set
        raise UsageError(f"{spec.name} cannot be made: {error}", "give all its parameters defaults") from error
    parts = ([] if inner is None else [inner.label]) + [f"{key}={_text(value)}" for key, value in values.items()]
    pruner.label = f"{spec.name}({', '.join(parts)})" if parts else spec.name
    return pruner


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return "/".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
