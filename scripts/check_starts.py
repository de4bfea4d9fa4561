"""Whether every episode begins well: after the settling steps of each official init state nothing fell and no goal holds yet.

    python scripts/check_starts.py                              # 2,000 starts on the primitive pack
    python scripts/check_starts.py --frozen-fixtures            # with the fixtures of version 0.1
    python scripts/check_starts.py --suite goal --tasks 0,7 --assets official
    python scripts/check_starts.py --suite pro-spatial --assets official --out starts.csv

Ends with 1 where a start is not sound, or a task does not start.
"""

from __future__ import annotations

import csv
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Optional

import typer

from vla_bench.errors import WorldError
from vla_bench.rollout.selection import chosen_tasks, numbers
from vla_bench.suites import Suite, Task, load_suites
from vla_bench.tables import print_table
from vla_bench.world.assets import resolve_assets
from vla_bench.world.env import World
from vla_bench.world.gl import choose_gl
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import init_states_file

COLUMNS = ("suite", "task", "starts", "sound", "goal holds", "fell", "error", "instruction", "goal")


def main(
    suite: str = "all",
    tasks: Annotated[Optional[str], typer.Option(show_default="all")] = None,
    init_states: Annotated[Optional[str], typer.Option(show_default="all")] = None,
    assets: str = "primitive",
    frozen_fixtures: Annotated[bool, typer.Option("--frozen-fixtures")] = False,
    out: Annotated[Optional[Path], typer.Option(help="CSV file: one row a task.", show_default="none")] = None,
) -> None:
    os.environ.update(choose_gl().environment())
    suites = load_suites(suite, frozen_fixtures)
    pack, chosen = resolve_assets(assets, suites), chosen_tasks(suites, tasks)
    rows, found = [], []
    for protocol in suites:
        world, began = World(protocol, pack), time.perf_counter()
        own = [
            start_all(world, protocol, task, numbers(init_states, protocol.init_states, "--init-states"))
            for each, task in chosen
            if each is protocol
        ]
        world.close()
        found += own
        starts, sound = (sum(row[key] for row in own) for key in ("starts", "sound"))
        seconds = (time.perf_counter() - began) / max(1, starts)
        rows.append([protocol.name, protocol.fixtures.value, str(starts), str(sound), f"{1000 * seconds:.0f}"])
        if out is not None:
            write(out, found)
    print_table(("suite", "fixtures", "starts", "sound", "ms a start"), rows)
    unsound = [row for row in found if row["error"] or row["sound"] < row["starts"]]
    for row in unsound:
        why = row["error"] or f"goal holds {row['goal holds']}, fell: {row['fell'] or 'nothing'}"
        print(f"not sound: {row['suite']}/{row['task']} {row['sound']}/{row['starts']}: {why} ({row['instruction']})")
    sys.exit(bool(unsound))


def start_all(world: World, protocol: Suite, task: Task, states: list[int]) -> dict:
    """One row of the table."""
    row: dict = dict.fromkeys(COLUMNS, "") | {"suite": protocol.name, "task": task.id, "instruction": task.language}
    row |= {"starts": 0, "sound": 0, "goal holds": 0}
    fell: Counter[str] = Counter()
    try:
        world.start(task)
        official = read_init_states(init_states_file(protocol, task))
        for k in states:
            observation = world.reset(k)
            fell.update(fallen := world.fallen(official[k]))
            row["starts"] += 1
            row["goal holds"] += world.goal_holds
            row["sound"] += not fallen and not world.goal_holds
        row["goal"] = "; ".join(" ".join(each) for each in observation.scene.facts.goal)
    except WorldError as error:
        row["error"] = error.message
    row["fell"] = ", ".join(f"{name} {count}" for name, count in sorted(fell.items()))
    return row


def write(path: Path, rows: list[dict]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    typer.run(main)
