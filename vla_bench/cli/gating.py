"""The command that judges a run for continuous integration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.cli.options import Format, FormatOption, PopulationOption
from vla_bench.values import By, Population, Rule


@app.command()
def gate(
    base: Annotated[Path, typer.Argument(help="Baseline run: a folder or a summary.")],
    new: Annotated[Path, typer.Argument(help="Run to judge, on the same init states.")],
    rule: Annotated[
        Rule,
        typer.Option(help="detect: fail on an established drop; noninferior: pass only when a drop beyond --margin is excluded."),
    ] = Rule.DETECT,
    margin: Annotated[float, typer.Option(help="Margin of noninferior, in percentage points.")] = 2.0,
    alpha: Annotated[float, typer.Option(help="Chance of a false alarm, a fraction.")] = 0.05,
    must_see: Annotated[
        float, typer.Option(help="Drop, in percentage points, that detect must be able to see (80 % power), else exit code 3.")
    ] = 5.0,
    population: PopulationOption = Population.INIT_STATES,
    per: Annotated[
        Optional[By], typer.Option(help="Judge every suite or task (Holm's correction); all must pass.", show_default="the whole")
    ] = None,
    max_more_tokens: Annotated[
        Optional[float],
        typer.Option(help="Percent by which the mean of kept tokens may be higher.", show_default="no limit"),
    ] = None,
    max_more_gflops: Annotated[
        Optional[float], typer.Option(help="Percent by which the mean GFLOP may be higher.", show_default="no limit")
    ] = None,
    max_slowdown: Annotated[
        Optional[float], typer.Option(help="Largest median ratio of times, as 1.2.", show_default="no limit")
    ] = None,
    suite: Annotated[Optional[str], typer.Option(help="Suites to judge by.", show_default="all of BASE")] = None,
    tasks: Annotated[Optional[str], typer.Option(help="Tasks to judge by (0,3 or 0-4).", show_default="all of BASE")] = None,
    init_states: Annotated[Optional[str], typer.Option(help="Init states to judge by (0-9).", show_default="all of BASE")] = None,
    noise: Annotated[
        Optional[Path], typer.Option(help="File of `vla-bench noise`: its flip rate, beside the pairs.", show_default="none")
    ] = None,
    junit: Annotated[Optional[Path], typer.Option(help="JUnit file of the result.", show_default="none")] = None,
    markdown: Annotated[
        Optional[Path], typer.Option(help="Markdown file of the result, for a CI summary.", show_default="none")
    ] = None,
    format: FormatOption = Format.HUMAN,
):
    """Exit 1 if the success rate dropped, 3 if there are too few pairs to say; for CI."""
    from vla_bench.report.gate_files import GateFiles
    from vla_bench.report.gated import print_gate
    from vla_bench.report.planning import noise_line
    from vla_bench.results.gate import GateRule
    from vla_bench.results.gate import gate as judged
    from vla_bench.results.gate_costs import CostLimits
    from vla_bench.results.noise import read_noise

    with GateFiles(junit, markdown) as files:
        of_policy = None if noise is None else read_noise(noise)
        shares = [None if each is None else each / 100 for each in (max_more_tokens, max_more_gflops)]
        asked = GateRule(rule, margin / 100, alpha, must_see / 100, population, per, CostLimits(*shares, max_slowdown))
        result = judged(base, new, asked, _chosen(base, suite, tasks, init_states))
        files.write(result)
    if format is Format.JSON:
        table = result.to_dict() | ({} if of_policy is None else {"noise": of_policy.total.to_dict()})
        typer.echo(json.dumps(table, allow_nan=False))
    else:
        print_gate(result)
        if of_policy is not None:
            typer.echo(noise_line(of_policy))
    raise typer.Exit(result.exit_code)


def _chosen(base: Path, suite: str | None, tasks: str | None, init_states: str | None):
    """The init states to judge by; None for all."""
    from vla_bench.results.summary_file import read_summary
    from vla_bench.results.units import Key
    from vla_bench.rollout.selection import select
    from vla_bench.suites import load_suites

    if not (suite or tasks or init_states):
        return None
    suites = load_suites(suite or ",".join(read_summary(base)["suites"]))
    return {Key(key.suite, key.task_id, key.init_state) for key in select(suites, tasks, init_states, None)}
