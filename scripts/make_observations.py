"""Write the bundled observations of `vla-bench agree`: consecutive queries of one demonstration of some tasks.

python scripts/make_observations.py DEMOS
"""

from __future__ import annotations

import sys
from pathlib import Path

from vla_bench.measure.recorded import SHIPPED, from_demonstrations, write_observations
from vla_bench.suites import load_suites

TASKS = (0, 3, 6, 9)  # of every suite
QUERIES = 6  # in a row, from the start: reaching, grasping, lifting


def main(demos: Path) -> None:
    episodes = []
    for suite in load_suites():
        for task in TASKS:
            file = demos / suite.libero_name / f"{suite.task(task).name}_demo.hdf5"
            episodes += [seen[:QUERIES] for seen in from_demonstrations(file, 1)]
    write_observations(SHIPPED, episodes)
    print(f"{SHIPPED}: {sum(map(len, episodes))} observations, {SHIPPED.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
