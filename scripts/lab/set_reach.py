"""A nano checkpoint whose patches see only so far, with the same weights, to train on from.

    python scripts/lab/set_reach.py vla_bench/weights/nano-oft 0 --out START
    vla-bench train --recipe nano-oft --start START --data DEMOS --out TRAINING

REACH counts patches: 0 for a patch that sees itself alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from vla_bench.checkpoints.config_file import BLOCK, read_config
from vla_bench.checkpoints.files import CONFIG, read_json


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("reach", type=int)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    table = read_json(options.checkpoint / CONFIG)
    table[BLOCK] |= {"name": options.out.name, "reach": options.reach}
    shutil.copytree(options.checkpoint, options.out)
    (options.out / CONFIG).write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    print(f"{options.out}: {read_config(options.out).reach}")


if __name__ == "__main__":
    main()
