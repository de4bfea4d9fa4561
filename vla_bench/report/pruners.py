"""The listing of pruners for people."""

from __future__ import annotations

import sys

from vla_bench.pruners.catalogue import PrunerEntry
from vla_bench.tables import print_table
from vla_bench.terminal import show


def print_pruners(entries: list[PrunerEntry]) -> None:
    """A table of sites and needs, then for each pruner what it does and its parameters with their defaults."""
    needs = {e.name: ", ".join((*e.needs, *["training"] * e.trained)) or "-" for e in entries}
    acts = [[e.name, ", ".join(e.sites), e.count, needs[e.name], e.source] for e in entries]
    print_table(("pruner", "acts", "tokens", "needs", "source"), acts)
    indent = 2 + max(len(entry.name) for entry in entries)
    for entry in entries:
        profiles = f"profile={'|'.join(('ours', *entry.profiles))}" if entry.profiles else ""
        lines = [entry.problem or entry.summary, ", ".join(filter(None, (_parameters(entry), profiles)))]
        show(f"{entry.name:{indent}}" + f"\n{'':{indent}}".join(filter(None, lines)))
    show("vla-bench eval --pruner fastv --pruner-args layer=3,keep=0.25,quota=global", file=sys.stderr)


def _parameters(entry: PrunerEntry) -> str:
    """Each as KEY=DEFAULT, or KEY=DEFAULT|OTHER where there are few values."""
    return ", ".join(f"{key}={_values(value, entry.choices.get(key, ()))}" for key, value in entry.parameters.items())


def _values(default: object, choices: tuple[str, ...]) -> str:
    if isinstance(default, list):
        return "/".join(map(str, default))
    if isinstance(default, bool):
        return str(default).lower()
    return "|".join((str(default), *(value for value in choices if value != default)))
