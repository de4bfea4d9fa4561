"""Where the numbers of the page come from: the commands, and the environment of each run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vla_bench.results.reported import ReportedRun

UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Fact:
    """values: one a run; a single one where all runs agree."""

    name: str
    values: list[str]


def commands(runs: Sequence[ReportedRun]) -> list[tuple[str, str]]:
    """Of each run its name and the command that made it, one a line where there were several parts."""
    return [(run.name, str(run.summary.get("command") or UNKNOWN).replace(" && ", "\n")) for run in runs]


def facts(runs: Sequence[ReportedRun]) -> list[Fact]:
    """What the runs agree in comes first."""
    tables = [dict(_facts(run)) for run in runs]
    found = []
    for name in dict.fromkeys(name for table in tables for name in table):
        values = [table.get(name, UNKNOWN) for table in tables]
        found.append(Fact(name, values[:1] if len(set(values)) == 1 else values))
    return sorted(found, key=lambda fact: len(fact.values))


def _facts(run: ReportedRun) -> Iterator[tuple[str, str]]:
    summary, environment = run.summary, run.summary.get("environment") or {}
    for name in ("created", "status", "git_commit", "config_hash"):
        yield name.replace("_", " "), _text(summary.get(name))
    yield "model", run.model or UNKNOWN
    for name in ("pruner", "decoding", "device", "dtype", "checkpoint"):
        yield name, _text(run.policy.get(name))
    for name, value in (summary.get("assets") or {}).items():
        yield f"assets {name}", _text(value)
    for suite, about in (summary.get("suites") or {}).items():
        if isinstance(about, Mapping) and "sha256" in about:
            yield f"suite {suite} sha256", _text(about["sha256"])
    for name, value in environment.items():
        if name == "packages" and isinstance(value, Mapping):
            for package, version in value.items():
                yield package, _text(version)
        else:
            yield name.replace("_", " "), _text(value)


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return "none" if value is None else str(value)
