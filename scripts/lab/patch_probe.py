"""What one image token tells about where things are: a linear probe of the vision transformers' features.

    python scripts/lab/patch_probe.py vla_bench/weights/nano-oft --data DEMOS
    python scripts/lab/patch_probe.py nano --data DEMOS                        # random weights

Ridge regression from the features to the position of the gripper's next opening or closing and of the task's objects, task by
task, fitted on most demonstrations and measured on others.  Where one patch, whichever it is, tells as much as all do, pruning
cannot hurt, and which tokens are kept cannot matter.  `a guess` knows the task alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from training_gap import samples_for

from vla_bench.checkpoints.checkpoint import load
from vla_bench.checkpoints.known import WEIGHTS
from vla_bench.interface.presets import PRESETS
from vla_bench.model.initialise import random_vla
from vla_bench.model.vla import VLA
from vla_bench.training.samples import SampleLoader

HELD_OUT = 0.3  # of a task's demonstrations
PENALTY = 1e-2  # of the ridge regression, per sample; features have a standard deviation of 1


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of a checkpoint, or a preset for random weights")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--scale", type=Path, default=WEIGHTS / "nano-oft", help="checkpoint whose scale random weights borrow")
    parser.add_argument("--samples", type=int, default=2500, help="of every task")
    parser.add_argument("--patches", type=int, default=4, help="of each camera that are tried one by one")
    options = parser.parse_args()
    loaded = load(options.scale if options.model in PRESETS else options.model, device="cpu")
    model = random_vla(PRESETS[options.model], seed=0) if options.model in PRESETS else loaded.model
    samples, patches = samples_for(loaded, options.data), model.config.patches
    draw = np.random.default_rng(0)
    tried = [int(each) for each in np.linspace(0, patches - 1, options.patches)]
    found: dict[str, list[float]] = {}
    for rows, new in tasks(samples, options.samples, draw):
        features, targets = encoded(model, samples, rows)
        agent, wrist = features[:, :patches], features[:, patches:]
        means = np.concatenate([agent.mean(axis=1), wrist.mean(axis=1)], axis=1)
        for name, views in {
            "a guess": [means[:, :0]],
            "one patch, agent": [agent[:, each] for each in tried],
            "one patch, wrist": [wrist[:, each] for each in tried],
            "mean, agent": [agent.mean(axis=1)],
            "means, both": [means],
        }.items():
            found.setdefault(name, []).extend(probe(view, targets, new) for view in views)
    if not found:
        parser.error(f"no task in {options.data} has three demonstrations")
    print("median distance in mm from what the probe says to where it is, on demonstrations that it has not seen")
    for name, errors in found.items():
        low, middle, high = np.nanpercentile(errors, [10, 50, 90])
        print(f"{name:18} {middle:5.1f}   (tenth {low:.1f}, ninth {high:.1f}; {len(errors)} probes)")


def tasks(samples: SampleLoader, count: int, draw: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of every task, and which of them are of demonstrations to be measured on."""
    instruction = samples.frames.instruction
    demo = np.concatenate([[0], np.cumsum(samples.frames.ends[:-1])])  # number of every step's demonstration
    for task in range(len(samples.frames.instructions)):
        rows = samples.starts[instruction[samples.starts] == task]
        own = np.unique(demo[rows])
        if len(own) < 3:
            continue
        held = draw.choice(own, max(1, round(HELD_OUT * len(own))), replace=False)
        rows = draw.choice(rows, min(count, len(rows)), replace=False)
        yield rows, np.isin(demo[rows], held)


def encoded(model: VLA, samples: SampleLoader, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, V, D) of the image tokens, and keypoints (N, KEYPOINTS, 3) in m."""
    features, targets = [], []
    for part in np.array_split(rows, max(1, len(rows) // 64)):
        batch = samples.collate(part, [0] * len(part))
        features.append(model.openvla.vision_backbone(batch.inputs.pixel_values).numpy())
        targets.append(batch.targets.numpy())
    return np.concatenate(features), np.concatenate(targets)


def probe(features: np.ndarray, targets: np.ndarray, new: np.ndarray) -> float:
    """Median distance in mm over the keypoints of the samples `new`, by ridge regression on the others."""
    errors = []
    for keypoint in range(targets.shape[1]):
        known = np.isfinite(targets[:, keypoint]).all(axis=1)
        learn, judge = known & ~new, known & new
        if learn.sum() < 20 or not judge.any():
            continue
        x, y = features[learn].astype(np.float64), targets[learn, keypoint].astype(np.float64)
        centre, scale, middle = x.mean(axis=0), x.std(axis=0) + 1e-6, y.mean(axis=0)
        x = (x - centre) / scale
        weights = np.linalg.solve(x.T @ x + PENALTY * len(x) * np.eye(x.shape[1]), x.T @ (y - middle))
        said = (features[judge] - centre) / scale @ weights + middle
        errors.append(np.linalg.norm(said - targets[judge, keypoint], axis=1))
    return 1000 * float(np.median(np.concatenate(errors))) if errors else float("nan")


if __name__ == "__main__":
    main()
