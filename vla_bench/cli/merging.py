"""The command that makes one run of its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.terminal import show


@app.command()
def merge(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of one configuration: shards, suites or tasks.")],
    out: Annotated[Path, typer.Argument(help="Run folder to write; new or empty.")],
    partial: Annotated[bool, typer.Option("--partial", help="Accept that planned episodes are missing.")] = False,
    summary: Annotated[Optional[Path], typer.Option(help="JSON file for the summary, as of `keep`.", show_default="none")] = None,
):
    """Merge the parts of a run, as of several machines, into one run folder."""
    from vla_bench.results.merge import listed
    from vla_bench.results.merged_folder import merge_folders
    from vla_bench.results.summary_file import summary_of, write_summary

    whole, episodes = merge_folders(runs, out, partial)
    show(f"{out}: {len(episodes)} episodes of {len(runs)} runs, {whole.status}")
    if missing := whole.missing({episode.key for episode in episodes}):
        show(f"{len(missing)} planned episodes are missing: {listed(missing)}")
    if summary is not None:
        write_summary(summary, summary_of(whole, episodes))
