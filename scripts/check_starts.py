"""Whether every episode begins well: after the settling steps of each official init state nothing fell and no goal holds yet.

    python scripts/check_starts.py                              # 2,000 starts on the primitive pack
    python scripts/check_starts.py --frozen-fixtures            # with the fixtures of version 0.1
    python scripts/check_starts.py --suite goal --tasks 0,7 --assets official

Ends with 1 where a start is not sound.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Annotated, Optional

import typer

from vla_bench.rollout.selection import chosen_tasks, numbers
from vla_bench.suites import load_suites
from vla_bench.tables import print_table
from vla_bench.world.assets import resolve_assets
from vla_bench.world.env import World
from vla_bench.world.gl import choose_gl
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import init_states_file


def main(
    suite: str = "all",
    tasks: Annotated[Optional[str], typer.Option(show_default="all")] = None,
    init_states: Annotated[Optional[str], typer.Option(show_default="all")] = None,
    assets: str = "primitive",
    frozen_fixtures: Annotated[bool, typer.Option("--frozen-fixtures")] = False,
) -> None:
    os.environ.update(choose_gl().environment())
    suites = load_suites(suite, frozen_fixtures)
    pack, chosen = resolve_assets(assets, suites), chosen_tasks(suites, tasks)
    rows, unsound = [], []
    for protocol in suites:
        world, count, seconds, before = World(protocol, pack), 0, 0.0, len(unsound)
        for task in (task for own, task in chosen if own is protocol):
            world.start(task)
            states = read_init_states(init_states_file(protocol, task))
            for k in numbers(init_states, protocol.init_states, "--init-states"):
                started = time.perf_counter()
                world.reset(k)
                seconds += time.perf_counter() - started
                count += 1
                if not world.is_sound(states[k]):
                    unsound.append(f"{protocol.name}/{task.id} init state {k}: {task.language}")
        world.close()
        sound = count - (len(unsound) - before)
        rows.append([protocol.name, protocol.fixtures.value, str(count), str(sound), f"{1000 * seconds / max(1, count):.0f}"])
    print_table(("suite", "fixtures", "starts", "sound", "ms a start"), rows)
    for line in unsound:
        print(f"not sound: {line}")
    sys.exit(bool(unsound))


if __name__ == "__main__":
    typer.run(main)
