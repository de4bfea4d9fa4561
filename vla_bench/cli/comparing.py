"""Commands that compare finished runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.cli.options import Format, FormatOption
from vla_bench.values import By, Rule


@app.command()
def keep(
    runs: Annotated[list[Path], typer.Argument(help="Run folder; or several parts of one run: suites, shards or tasks.")],
    out: Annotated[Path, typer.Argument(help="JSON file to write.")],
    suite: Annotated[Optional[str], typer.Option(help="Suites to keep.", show_default="all of the run")] = None,
    tasks: Annotated[Optional[str], typer.Option(help="Tasks to keep (0,3 or 0-4).", show_default="all of the run")] = None,
    init_states: Annotated[
        Optional[str], typer.Option(help="Init states to keep (0-9); all must be there.", show_default="all of the run")
    ] = None,
):
    """Write the summary of a run, small enough to commit: command, configuration, totals, and the outcome of every episode."""
    from vla_bench.results.merge import merge
    from vla_bench.results.summary_file import part_of, summary_of, write_summary
    from vla_bench.rollout.selection import select
    from vla_bench.suites import load_suites

    run, episodes = merge(runs)
    part = {"suite": suite, "init_states": init_states} | ({"tasks": tasks} if tasks else {})
    table: dict = {}
    if any(part.values()):
        keys = select(load_suites(suite or ",".join(run.suites)), tasks, init_states, None)
        (run, episodes), table = (
            part_of(run, episodes, keys, every=init_states is not None),
            {"command": run.command, "kept": part},
        )
    write_summary(out, table | summary_of(run, episodes))
    typer.echo(f"{out}: {len(episodes)} episodes, {out.stat().st_size / 1e3:.0f} kB")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Run folders or summaries (`vla-bench keep`); the first is the baseline.")],
    by: Annotated[
        Optional[By], typer.Option(help="A row for every suite or task, instead of one a run.", show_default="none")
    ] = None,
    out: Annotated[Optional[Path], typer.Option(help="Markdown file for the table.", show_default="none")] = None,
    format: FormatOption = Format.HUMAN,
):
    """Pair runs with the first, init state by init state: differences with intervals, and what is not separated."""
    from vla_bench.records import write_atomically
    from vla_bench.report import compared
    from vla_bench.results.comparison import compare_runs, read_comparable
    from vla_bench.results.parts import compare_parts

    summaries = list(zip(runs, read_comparable(runs), strict=True))
    rows = compare_runs(summaries)
    parts = [] if by is None else compare_parts(summaries, by)
    if out is not None:
        text = compared.comparison_markdown(rows) if by is None else compared.parts_markdown(rows, parts, by)
        write_atomically(out, text)
    if format is Format.JSON:
        table: object = [row.to_dict() for row in rows]
        if by is not None:
            table = {"by": by.value, "family": len(parts), "runs": table, "parts": [part.to_dict() for part in parts]}
        typer.echo(json.dumps(table, allow_nan=False))
    elif by is None:
        compared.print_comparison(rows)
    else:
        compared.print_parts(rows, parts, by)


@app.command()
def gate(
    base: Annotated[Path, typer.Argument(help="Baseline run: a folder or a summary.")],
    new: Annotated[Path, typer.Argument(help="Run to judge, on the same init states.")],
    rule: Annotated[
        Rule,
        typer.Option(help="detect: fail on an established drop; noninferior: pass only when a drop beyond --margin is excluded."),
    ] = (Rule.DETECT),
    margin: Annotated[float, typer.Option(help="Margin of noninferior, in percentage points.")] = 2.0,
    alpha: Annotated[float, typer.Option(help="Chance of a false alarm, a fraction.")] = 0.05,
    must_see: Annotated[
        float, typer.Option(help="Drop, in percentage points, that detect must be able to see (80 % power), else exit code 3.")
    ] = 5.0,
    suite: Annotated[Optional[str], typer.Option(help="Suites to judge by.", show_default="all of BASE")] = None,
    tasks: Annotated[Optional[str], typer.Option(help="Tasks to judge by (0,3 or 0-4).", show_default="all of BASE")] = None,
    init_states: Annotated[Optional[str], typer.Option(help="Init states to judge by (0-9).", show_default="all of BASE")] = None,
    format: FormatOption = Format.HUMAN,
):
    """Exit 1 if the success rate dropped, 3 if there are too few pairs to say; for CI."""
    from vla_bench.results.gate import GateRule, sentences
    from vla_bench.results.gate import gate as judged
    from vla_bench.results.summary_file import read_summary
    from vla_bench.results.units import Key
    from vla_bench.rollout.selection import select
    from vla_bench.suites import load_suites

    asked = GateRule(rule, margin / 100, alpha, must_see / 100)
    only = None
    if suite or tasks or init_states:
        suites = load_suites(suite or ",".join(read_summary(base)["suites"]))
        only = {Key(key.suite, key.task_id, key.init_state) for key in select(suites, tasks, init_states, None)}
    result = judged(base, new, asked, only)
    typer.echo(json.dumps(result.to_dict(), allow_nan=False) if format is Format.JSON else sentences(result))
    raise typer.Exit(result.exit_code)
