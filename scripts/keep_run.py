"""Keep a run, or the part that a comparison is about, or runs of single suites as one, small enough to commit.

    python scripts/keep_run.py results/runs/ID results/baselines/NAME.json
    python scripts/keep_run.py results/runs/ID results/pruners/object/NAME.json --suite object --init-states 0-9
    python scripts/keep_run.py RUN_OF_SPATIAL RUN_OF_OBJECT results/baselines/NAME.json

Episodes are in the order of init states, so that two files can be paired: vla-bench compare A.json B.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vla_bench.records import write_atomically
from vla_bench.results.joined import joined
from vla_bench.results.kept import as_text, compact, recorded
from vla_bench.rollout.selection import select
from vla_bench.suites import load_suites


def main(
    runs: Annotated[list[Path], typer.Argument(help="Its folder; or several, of the same policy on one suite each.")],
    file: Annotated[Path, typer.Argument(help="The JSON to write.")],
    suite: Annotated[str | None, typer.Option(help="Only episodes of these.")] = None,
    init_states: Annotated[str | None, typer.Option(help="Only from these, such as 0-9.")] = None,
) -> None:
    told, episodes = joined([recorded(run) for run in runs])
    table = compact(told, episodes)
    if suite or init_states:  # an episode depends on its own key alone, so a part of a run is a run
        wanted = select(load_suites(suite or ",".join(told.suites)), None, init_states, None)
        found = {each.key: each for each in episodes}
        if missing := [key for key in wanted if key not in found]:
            raise SystemExit(f"{runs[0]} lacks {len(missing)} of these {len(wanted)} episodes; the first is {missing[0]}")
        table = compact(told, [found[key] for key in wanted])
        table = {"command": told.command, "kept": {"suite": suite, "init_states": init_states}} | table
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, as_text(table))
    print(f"{file}: {table['totals']['episodes']} episodes, {file.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    typer.run(main)
