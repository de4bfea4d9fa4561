"""What `vla-bench show` prints of a run: one screen of what was asked, where it ran, what came out, and how to go on."""

from __future__ import annotations

from collections.abc import Mapping

from vla_bench.records import EpisodeKey
from vla_bench.results.about_run import about_run
from vla_bench.results.result_table import result_notes, result_table
from vla_bench.results.whole_run import Cause, WholeRun
from vla_bench.tables import print_table
from vla_bench.terminal import show

CAUSES = 8  # that are shown
NAMED = 6  # episodes of a cause that are named


def print_run(whole: WholeRun) -> None:
    """To standard output, all of it."""
    facts = {"run": str(whole.source.path), "name": whole.run.run_id}
    facts |= about_run(whole.run, whole.summary, whole.planned, whole.until)
    command = facts.pop("command")
    print_facts(facts | {"policy": _text(_decisive(whole)), **_environment(whole)})
    if whole.episodes:
        show()
        print_table(*result_table(whole.summary, whole.instructions, whole.planned))
    show("\n".join(result_notes(whole.summary, whole.planned)))
    show()
    print_facts(_afterwards(whole) | {"command": command.replace(" && ", "\n"), "resume": whole.resume or "nothing is missing"})


def print_facts(facts: Mapping[str, str]) -> None:
    """Names and values; further lines of a value below its first.  Those without a value are left out."""
    width = max(map(len, facts))
    for name, value in facts.items():
        if value:
            first, *more = value.splitlines()
            show("\n".join([f"{name:{width}}  {first}", *(f"{'':{width}}  {line}" for line in more)]))


def _decisive(whole: WholeRun) -> dict[str, object]:
    """What was asked or found out of the policy, beside what has a line of its own."""
    policy = whole.run.config.get("policy") or {}
    return {
        name: value for name, value in policy.items() if name not in ("pruner", "packages", "unnorm_keys") and value is not None
    }


def _environment(whole: WholeRun) -> dict[str, str]:
    environment = dict(whole.run.environment)
    packages = environment.pop("packages", None)
    found = {"machine": _text(environment), "packages": _text(packages) if isinstance(packages, Mapping) else ""}
    return found | {"commit": whole.run.git_commit or "", "config hash": whole.run.config_hash}


def _afterwards(whole: WholeRun) -> dict[str, str]:
    films, errors = whole.films, whole.summary.total.errors
    lines = [_cause(cause) for cause in whole.causes[:CAUSES]]
    if (more := len(whole.causes) - CAUSES) > 0:
        lines.append(f"{more} more causes")
    if errors and not lines:
        lines.append(f"{errors} episodes, without their causes: those are in the run folder")
    if whole.errors_log is not None:
        lines.append(f"traces: {whole.errors_log}")
    return {"errors": "\n".join(lines), "films": f"{len(films)}, e.g. {films[0]}" if films else "none"}


def _cause(cause: Cause) -> str:
    return f"{len(cause.episodes)} x {cause.type}: {cause.message} ({_named(cause.episodes)})"


def _named(keys: list[EpisodeKey]) -> str:
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return ", ".join(map(str, keys[:NAMED])) + more


def _text(table: Mapping[str, object]) -> str:
    """Names and values on one line; tables in it in parentheses."""
    return "; ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in table.items())


def _value(value: object) -> str:
    if isinstance(value, Mapping):
        return f"({_text(value)})"
    if isinstance(value, list):
        return ", ".join(map(_value, value))
    return "none" if value is None else str(value)
