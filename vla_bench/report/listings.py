"""What commands print for people."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict

from vla_bench.checkpoints.known import KnownModel
from vla_bench.report.planning import verdict_lines
from vla_bench.results.result_table import result_notes, result_table
from vla_bench.suites import Suite
from vla_bench.tables import print_table
from vla_bench.terminal import show
from vla_bench.world.ready import Readiness


def suites_dict(suites: Sequence[tuple[Suite, Readiness]]) -> list[dict]:
    return [
        suite.protocol
        | {"title": suite.title, "family": suite.family or None, "ready": ready.to_dict()}
        | {"tasks": [{"id": t.id, "name": t.name, "instruction": t.language} for t in suite.tasks]}
        for suite, ready in suites
    ]


def print_suites(suites: Sequence[tuple[Suite, Readiness]], whole: bool = False) -> None:
    """The tasks of every suite of no family, or of all with `whole`; a line a suite of the others, and what they lack to run."""
    for suite, _ in suites:
        if suite.family and not whole:
            continue
        title = f"{suite.name} = {suite.libero_name}: {suite.title.split(': ', 1)[-1]}"
        queries = f"one query per {suite.chunk} steps, at most {suite.horizon} steps at {suite.control_hz} Hz"
        rows = [[str(task.id), task.language] for task in suite.tasks]
        print_table(
            ("task", "instruction"),
            rows,
            title=f"{title}\n{queries}",
        )
    families = dict.fromkeys(suite.family for suite, _ in suites if suite.family and not whole)
    for family in families:
        own = [(suite, ready) for suite, ready in suites if suite.family == family]
        rows = [[s.name, s.original or "-", s.axis or "-", str(len(s.tasks)), ", ".join(r.packs) or "-"] for s, r in own]
        print_table(
            ("suite", "of", "change", "tasks", "assets at hand"), rows, title=f"{family}: --suite {family} is all of these"
        )
    lacking = {(ready.lacks, ready.get): suite for suite, ready in suites if ready.lacks}
    for (lacks, get), suite in lacking.items():
        show(f"{suite.family or suite.name} lacks {lacks}\n  get  {get}")


def models_dict(models: list[KnownModel]) -> list[dict]:
    return [asdict(model) for model in models]


def print_models(models: list[KnownModel]) -> None:
    """The named models: `--model` also takes folders and hub ids."""
    rows = [[m.name, m.kind, ", ".join(m.suites), m.unnorm_key or "by suite", m.at_hand] for m in models]
    print_table(("model", "kind", "suites", "unnorm key", "weights"), rows, details=("kind", "suites", "unnorm key"))


def print_result(result) -> None:
    """The table on standard output; paths, and the command that resumes the run, on standard error."""
    print_table(*result_table(result.summary, result.instructions, result.planned))
    if result.verdict is not None:
        for line in verdict_lines(result.verdict, result.early.rule, len(result.early.order)):
            show(line)
    say = lambda text: show(text, file=sys.stderr)  # noqa: E731
    say("\n".join(result_notes(result.summary, result.planned)))
    say(f"run folder  {result.run_dir}")
    if result.videos:
        say(f"videos      {len(result.videos)}, e.g. {result.videos[0]}")
    if result.stopped:
        say(f"stopped     {result.stopped}\n            traces: {result.run_dir / 'errors.log'}")
    elif result.summary.total.errors:
        say(f"errors      {result.summary.total.errors}, not counted as failures; causes: {result.run_dir / 'errors.log'}")
    if result.interrupted or result.stopped:
        say(f"resume      {shlex.join(word for word in shlex.split(result.command) if word != '--fresh')}")
    elif result.verdict is not None and result.verdict.decided:
        say("the rest    the same command without --stop-early; `compare` and `gate` take a run that has all its episodes")
    elif result.against is not None and result.verdict is None:
        say(f"judge       {shlex.join(['vla-bench', 'gate', str(result.against), str(result.run_dir)])}")


def print_overlay(result, quiet: bool = False) -> None:
    """The files on standard output, unless `quiet`; what is missing on standard error."""
    for path in () if quiet else result.files:
        print(path)
    for note in result.notes:
        print(f"missing: {note}", file=sys.stderr)
    rate = f", {result.frames / result.seconds:.1f} frames/s" if result.seconds > 0 and result.frames else ""
    print(f"{result.films} films, {result.frames} frames{rate} -> {result.folder}", file=sys.stderr)
