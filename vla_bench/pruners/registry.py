"""Pruners by name, as `--pruner` takes them."""

from __future__ import annotations

from collections.abc import Callable

from vla_bench.errors import UsageError, nearest
from vla_bench.pruners.base import Pruner


def _lightvla() -> Pruner:
    from vla_bench.pruners.lightvla import LightVLA

    return LightVLA()


NONE = "none"  # keep every image token
PRUNERS: dict[str, Callable[[], Pruner | None]] = {NONE: lambda: None, "lightvla": _lightvla}


def make_pruner(name: str) -> Pruner | None:
    """The pruner called `name`, None for "none".  Raises UsageError for a name that is not known."""
    if name not in PRUNERS:
        raise UsageError(
            f'unknown pruner "{name}".{nearest(name, list(PRUNERS))} Pruners: {", ".join(PRUNERS)}',
            "vla-bench eval --pruner lightvla",
        )
    return PRUNERS[name]()
