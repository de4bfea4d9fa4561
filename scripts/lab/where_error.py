"""How well a nano model knows where the objects are, and how far its actions are from the expert's, task by task.

    python scripts/lab/where_error.py TRAINING --data DEMOS

TRAINING is the folder of a training with an auxiliary loss: the head that says where things are is in its state.pt, and in no
checkpoint.  A task whose objects are known to a centimetre only is one in which the hand closes beside them.
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
    asked = parser.parse_args()
    loaded = load(asked.training / "checkpoint", device="cpu")
    head = where_head(asked.training, loaded.config.llm.width)
    samples = samples_for(loaded, asked.data)
    task_of = samples.frames.instruction[samples.starts]
    draw = np.random.default_rng(0)
    print("median error in mm: where the gripper switches next, then the objects; mean L1 of the actions")
    for task, instruction in enumerate(samples.frames.instructions):
        rows = draw.choice(samples.starts[task_of == task], asked.samples)
        batch = samples.collate(rows, [0] * len(rows))
        output = loaded.model(batch.inputs)
        told = " ".join("   -" if np.isnan(each) else f"{each:4.0f}" for each in errors(head(output.slots.float()), batch))
        print(f"{told}   {(output.actions - batch.actions).abs().mean():.3f}   {instruction}")


def errors(places: torch.Tensor, batch: Batch) -> np.ndarray:
    """(KEYPOINTS,) mm, median over the batch of the distances; NaN where a place is not known."""
    return 1000 * (places * METRES - batch.targets).norm(dim=-1).nanmedian(dim=0).values.numpy()


def where_head(training: Path, width: int) -> KeypointHead:
    """The auxiliary head that the training has come to."""
    weights = torch.load(training / FILE, map_location="cpu", weights_only=True)["weights"]
    head = KeypointHead(width)
    head.load_state_dict({name.removeprefix("where."): each for name, each in weights.items() if name.startswith("where.")})
    return head


if __name__ == "__main__":
    main()
