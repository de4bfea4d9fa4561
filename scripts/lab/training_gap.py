"""L1 of a model's actions on demonstrations: without its pruner, with it as in evaluation, and with it as in training.

    python scripts/lab/training_gap.py vla_bench/weights/nano-lightvla --data DEMOS

Training repeats image tokens and evaluation keeps each once; where the last two differ, training does not match evaluation.
Samples are drawn as in the recipe nano-lightvla, with another seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from vla_bench.checkpoints.checkpoint import Loaded, load
from vla_bench.model.normalisation import Statistics
from vla_bench.model.tokenizer import Tokenizer
from vla_bench.training.data import demo_files, prepared
from vla_bench.training.frames import prepare_frames
from vla_bench.training.samples import Batch, SampleLoader
from vla_bench.training.shares import parse_shares
from vla_bench.training.step import Loss

SEED = 123  # of no training


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--batches", type=int, default=6)
    options = parser.parse_args()
    loaded = load(options.checkpoint, device="cpu", pruner="lightvla")
    samples = samples_for(loaded, options.data)
    batches = [samples.batch(number, 64) for number in range(options.batches)]
    pruner = loaded.model.pruner
    for name, chosen, training in (("dense", None, False), ("as evaluated", pruner, False), ("as trained", pruner, True)):
        loaded.model.pruner = chosen
        error, kept = distance(Loss(loaded.model).train(training), batches)
        print(f"{name:13} L1 {error:.4f}   {kept:.1f} image tokens")


def samples_for(loaded: Loaded, data: Path) -> SampleLoader:
    """Samples as in the nano recipes, but with equal shares of the suites."""
    frames = prepare_frames(demo_files(data), loaded.config.image_size, prepared(data))
    key = next(iter(loaded.statistics))
    scale, words = Statistics.parse(loaded.statistics[key], key), Tokenizer(loaded.tokenizer_file, loaded.config.tokens)
    drawn = {"switch_weight": 3.0, "shares": parse_shares(""), "fill_ends": True}
    return SampleLoader(frames, loaded.config, words, scale, normalisation=loaded.normalisation, seed=SEED, **drawn)


def distance(loss: Loss, batches: list[Batch]) -> tuple[float, float]:
    """Mean L1 of the actions, and mean number of different image tokens kept."""
    losses = [loss(batch)[1] for batch in batches]
    return tuple(sum(each[name].item() for each in losses) / len(losses) for name in ("action", "kept"))


if __name__ == "__main__":
    main()
