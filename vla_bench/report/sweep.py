"""What `vla-bench sweep` prints."""

from __future__ import annotations

import sys

from vla_bench.errors import ExitCode
from vla_bench.report.compared import print_comparison


def print_shipped(titles: dict[str, str]) -> None:
    """The sweeps that come with vla-bench."""
    width = max(map(len, titles))
    for name, title in titles.items():
        print(f"{name:{width}}  {title}")
    print("run one with  vla-bench sweep NAME", file=sys.stderr)


def print_sweep(result) -> None:
    """The rows on their pairs with the base; on standard error what is left out, where the runs are, and how to resume."""
    if result.rows:
        print_comparison(result.rows)
    print_sweep_end(result)


def print_sweep_end(result) -> None:
    say = lambda text: print(text, file=sys.stderr)  # noqa: E731
    for name, error in result.left_out:
        say(f"left out    {name}: {error.message}")
    say(f"sweep       {result.folder}; tables and figures: vla-bench report {result.folder} --out DIR")
    if result.exit_code == ExitCode.INTERRUPTED:
        say(f"resume      {result.command}")
    elif result.exit_code:
        say(f"errors      of a row above 2 %, not counted as failures; run them again: {result.command}")
