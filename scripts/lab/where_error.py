"""Errors of a nano model's keypoints and actions, task by task.

    python scripts/lab/where_error.py TRAINING --data DEMOS

TRAINING is the folder of a training with an auxiliary loss: the keypoint head is in its state.pt, but not in the checkpoint.
In a task with keypoint errors of a centimetre the hand closes beside the objects.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from training_gap import samples_for

from vla_bench.checkpoints.checkpoint import load
from vla_bench.training.auxiliary import METRES, KeypointHead
from vla_bench.training.samples import Batch
from vla_bench.training.state import FILE


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("training", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=64, help="of every task")
    options = parser.parse_args()
    loaded = load(options.training / "checkpoint", device="cpu")
    head = keypoint_head(options.training, loaded.config.llm.width)
    samples = samples_for(loaded, options.data)
    task_of = samples.frames.instruction[samples.starts]
    draw = np.random.default_rng(0)
    print("median keypoint error in mm: next gripper switch, then objects; mean L1 of the actions")
    for task, instruction in enumerate(samples.frames.instructions):
        rows = draw.choice(samples.starts[task_of == task], options.samples)
        batch = samples.collate(rows, [0] * len(rows))
        output = loaded.model(batch.inputs)
        millimetres = " ".join("   -" if np.isnan(each) else f"{each:4.0f}" for each in errors(head(output.slots.float()), batch))
        print(f"{millimetres}   {(output.actions - batch.actions).abs().mean():.3f}   {instruction}")


def errors(places: torch.Tensor, batch: Batch) -> np.ndarray:
    """(KEYPOINTS,) mm, median over the batch of the distances; NaN where a place is not known."""
    return 1000 * (places * METRES - batch.targets).norm(dim=-1).nanmedian(dim=0).values.numpy()


def keypoint_head(training: Path, width: int) -> KeypointHead:
    """The keypoint head of a training."""
    weights = torch.load(training / FILE, map_location="cpu", weights_only=True)["weights"]
    head = KeypointHead(width)
    head.load_state_dict({name.removeprefix("where."): each for name, each in weights.items() if name.startswith("where.")})
    return head


if __name__ == "__main__":
    main()
