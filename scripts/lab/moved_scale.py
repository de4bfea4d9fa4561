"""The error of a trained nano model when actions and states are scaled by other demonstrations' statistics.

    python scripts/lab/moved_scale.py vla_bench/weights/nano-oft --data DEMOS --save MOVED
    vla-bench eval --suite spatial --model MOVED --init-states 0-2 --assets primitive

Prints L1 on the demonstrations with the model's own scale and with theirs; MOVED has the same weights with their scale.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from training_gap import distance, samples_for

from vla_bench.checkpoints.checkpoint import load
from vla_bench.checkpoints.saving import save
from vla_bench.training.data import demo_files
from vla_bench.training.finetune import statistics
from vla_bench.training.step import Loss


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--save", type=Path, help="folder for the checkpoint with the scale of the demonstrations")
    options = parser.parse_args()
    loaded = load(options.checkpoint, device="cpu")
    loss, own = Loss(loaded.model), samples_for(loaded, options.data)
    moved = statistics(own.frames, demo_files(options.data), "bounds")
    moved = dict.fromkeys([*loaded.statistics, *moved], next(iter(moved.values())))
    for name, table in (("its own", loaded.statistics), ("theirs", moved)):
        loaded.statistics.update(table)
        samples = samples_for(loaded, options.data)
        error, _ = distance(loss, [samples.batch(number, 64) for number in range(options.batches)])
        print(f"{name:8} L1 {error:.4f}")
    if options.save:
        save(
            options.save,
            loaded.model,
            statistics=moved,
            normalisation=loaded.normalisation,
            kind=loaded.kind,
            step=0,
            tokenizer_file=loaded.tokenizer_file,
            heads="safetensors",
        )


if __name__ == "__main__":
    main()
