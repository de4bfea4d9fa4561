"""Runs that were stopped early: their own verdict stands, and tests for a number of pairs fixed beforehand refuse them."""

from __future__ import annotations

import shlex
from pathlib import Path

from vla_bench.errors import NotComparableError

STOPPED = "stopped"  # status of such a run


def refuse_stopped(path: Path, summary: dict) -> None:
    """Raises NotComparableError: a run that ended because of its outcomes shows a larger difference than there is."""
    if summary["status"] != STOPPED:
        return
    verdict, rule = summary.get("stopped") or {}, summary.get("stop_rule") or {}
    base = f" with {rule['base']}" if "base" in rule else ""
    raise NotComparableError(
        f"{path} was stopped early, after {verdict.get('pairs')} pairs{base}: {verdict.get('finding')}.  That is its verdict; "
        "rates, intervals and p values are for a number of pairs fixed beforehand",
        f"{command_of(path, summary)}, which runs the rest",
    )


def command_of(path: Path, summary: dict) -> str:
    """The command that made the run, without its stop rule and into its folder."""
    try:
        words = shlex.split(summary["command"])
    except ValueError:
        words = ["vla-bench", "eval", "..."]
    words = without(words, "--stop-early", values=False)
    for option in ("--against", "--alpha", "--must-see"):
        words = without(words, option)
    if path.is_dir() and not any(word.split("=")[0] == "--out" for word in words):
        words += ["--out", str(path)]
    return shlex.join(words)


def without(words: list[str], option: str, values: bool = True) -> list[str]:
    """The words of a command line without an option and its value."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word == option:
            skip = values
        elif not word.startswith(f"{option}="):
            kept.append(word)
    return kept
