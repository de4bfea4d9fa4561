"""A nano checkpoint whose patches see only so far, with the same weights, to train on from.

    python scripts/lab/set_reach.py vla_bench/weights/nano-oft 0 --out START
    vla-bench train --recipe nano-oft --start START --data DEMOS --out TRAINING

REACH counts patches: 0 for a patch that sees itself alone.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import replace
from pathlib import Path

from vla_bench.checkpoints.config_file import read_config_file, write_config


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("reach", type=int)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    file = read_config_file(options.checkpoint)
    shutil.copytree(options.checkpoint, options.out)
    write_config(
        options.out,
        replace(file.config, name=options.out.name, reach=options.reach),
        file.norm_stats,
        kind=file.origin.kind,
        pruner=file.origin.pruner,
        action_slice=file.origin.action_slice,
        dtype="float16",
    )


if __name__ == "__main__":
    main()
