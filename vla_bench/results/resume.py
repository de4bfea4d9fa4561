"""The command that goes on with a run, worked out from the one that made it."""

from __future__ import annotations

from pathlib import Path

from vla_bench.records import Run
from vla_bench.results.recorded_command import commands, joined
from vla_bench.results.sweep_file import is_sweep

EVAL, OF_SWEEPS = "eval", ("sweep", "ablate")


def resume_command(run: Run, folder: Path) -> str:
    """The commands of the run, for its folder, and without `--fresh`, which would start over.

    A run of a sweep is resumed with the sweep.  Other commands that run episodes, as `noise`, find the folder by themselves.
    """
    try:
        found = commands(str(run.command))
    except ValueError:  # no command of ours
        found = [["vla-bench", EVAL]]
    return joined([_resumed(command, folder) for command in found])


def _resumed(command: list[str], folder: Path) -> list[str]:
    kept: list[str] = []
    for word in command:
        if kept[-1:] == ["--out"]:
            kept.pop()
        elif word != "--fresh" and not word.startswith("--out="):
            kept.append(word)
    name = command[1] if len(command) > 1 else ""
    if name in OF_SWEEPS and is_sweep(folder.parent):
        return [*kept, "--out", str(folder.parent)]
    return [*kept, "--out", str(folder)] if name == EVAL else command
