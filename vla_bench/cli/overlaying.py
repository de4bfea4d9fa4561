"""The command that films what a run's pruner kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.cli.app import app
from vla_bench.cli.options import Workers
from vla_bench.errors import VlaBenchError
from vla_bench.values import Video


@app.command()
def overlay(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    episodes: Annotated[str, typer.Option(help="all, failures, or episodes as long-t8-i00, with commas.")] = "all",
    contact_sheet: Annotated[
        bool, typer.Option("--contact-sheet", help="Also the key frames side by side, as in the paper's Figure 3.")
    ] = False,
    workers: Workers = "auto",
    assets: Annotated[str, typer.Option(help="Asset pack: that of the run, or its folder.", show_default="the run's")] = "auto",
    out: Annotated[Optional[Path], typer.Option(help="Folder of the films.", show_default="RUN/videos/overlay")] = None,
):
    """Film recorded episodes with their pruned patches dimmed; no model runs."""
    from vla_bench.overlay.films import OverlayRequest, overlay
    from vla_bench.report.listings import print_overlay

    result = overlay(
        OverlayRequest(run=run, episodes=episodes, contact_sheet=contact_sheet, workers=workers, assets=assets, out=out)
    )
    print_overlay(result)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def film_overlays(run: Path, episodes: Video, workers: str) -> None:
    """The films that a run lacks, after it ended.  What cannot be filmed is said; the run's results and exit code stand."""
    from vla_bench.overlay.films import OverlayRequest, overlay
    from vla_bench.report.listings import print_overlay

    try:
        result = overlay(OverlayRequest(run=run, episodes=episodes.value, workers=workers, anew=False))
    except VlaBenchError as error:
        typer.echo(f"no overlay films: {error}", err=True)
    else:
        print_overlay(result, quiet=True)
