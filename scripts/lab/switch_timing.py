"""When a model switches the gripper, compared with the expert, on demonstrations.

    python scripts/lab/switch_timing.py vla_bench/weights/nano-oft --data DEMOS

For chunks that begin `before` steps ahead of a switch: the share that switches two or more steps early, or late.  A switch
after the chunk's end cannot be late.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from training_gap import SEED, samples_for

from vla_bench.checkpoints.checkpoint import load
from vla_bench.training.samples import GRIPPER


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--chunks", type=int, default=96, help="for each row")
    parser.add_argument("--before", type=int, nargs="+", default=[0, 4, 8, 10, 12, 16])
    options = parser.parse_args()
    loaded = load(options.checkpoint, device="cpu")
    samples, draw = samples_for(loaded, options.data), np.random.default_rng(SEED)
    opens = samples.frames.actions[:, GRIPPER] > 0.5
    segment, length = samples.frames.segment, loaded.config.chunk
    switches = 1 + np.flatnonzero((opens[1:] != opens[:-1]) & (segment[1:] == segment[:-1]))
    for word, to_open in (("close", False), ("open", True)):
        for before in options.before:
            starts = switches[opens[switches] == to_open] - before
            # The same demonstration, and no other switch in between.
            starts = starts[(starts >= 0) & np.isin(starts, samples.starts)]
            starts = np.array(
                [i for i in starts if segment[i] == segment[i + before] and (opens[i : i + before] != to_open).all()]
            )
            drawn = draw.choice(starts, min(options.chunks, len(starts)), replace=False)
            gripper = loaded.model(samples.collate(drawn, [0] * len(drawn)).inputs).actions[..., GRIPPER].float().numpy()
            done = (gripper > 0.5) == to_open
            first = np.where(done.any(axis=1), done.argmax(axis=1), length) - min(before, length)
            print(f"{word:5} {before:2} before, n={len(drawn)}: early {(first <= -2).mean():.0%}, late {(first >= 2).mean():.0%}")


if __name__ == "__main__":
    main()
