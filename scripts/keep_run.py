"""Keep a run small enough to commit.

    python scripts/keep_run.py results/runs/ID results/baselines/NAME.json

Episodes are in the order of init states, so that two files can be paired: vla-bench compare A.json B.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vla_bench.outcomes.kept import as_text, kept
from vla_bench.records import write_atomically


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    table = kept(asked.run)
    asked.file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(asked.file, as_text(table))
    print(f"{asked.file}: {table['totals']['episodes']} episodes, {asked.file.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
