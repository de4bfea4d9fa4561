"""The listing of pruners for people."""

from __future__ import annotations

import sys

from vla_bench.pruners.catalogue import Entry
from vla_bench.tables import print_table


def print_pruners(entries: list[Entry]) -> None:
    """Where each acts and what it needs, then what it does and its parameters with their defaults."""
    acts = [[e.name, ", ".join(e.sites), e.count, ", ".join(e.needs) or "-", e.source] for e in entries]
    print_table(("pruner", "acts", "tokens", "needs", "source"), acts)
    indent = 2 + max(len(entry.name) for entry in entries)
    for entry in entries:
        profiles = f"profile={'|'.join(('ours', *entry.profiles))}" if entry.profiles else ""
        lines = [entry.problem or entry.summary, ", ".join(filter(None, (_parameters(entry), profiles)))]
        print(f"{entry.name:{indent}}" + f"\n{'':{indent}}".join(filter(None, lines)))
    print("vla-bench eval --pruner fastv --pruner-args layer=3,keep=0.25,quota=global", file=sys.stderr)


def _parameters(entry: Entry) -> str:
    shown = {key: "/".join(map(str, value)) if isinstance(value, list) else value for key, value in entry.parameters.items()}
    return ", ".join(f"{key}={str(value).lower() if isinstance(value, bool) else value}" for key, value in shown.items())
