"""A loss beside the actions': say where the task's objects are.  It teaches a small model to see, and is dropped afterwards."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_bench.training.samples import PLACES

METRES = 0.1  # a unit of the answer, so that the loss is of the actions' size


class KeypointHead(nn.Module):
    """Mean hidden state of the action slots (B, 56, D) -> `Batch.targets`, (B, PLACES, 3) in units of `METRES`."""

    def __init__(self, width: int):
        super().__init__()
        self.answer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3 * PLACES))

    def forward(self, slots: Tensor) -> Tensor:
        return self.answer(slots.mean(dim=1)).view(-1, PLACES, 3)


def keypoint_loss(answer: Tensor, targets: Tensor) -> Tensor:
    """Mean distance along an axis, in units of `METRES`.  Over all places, of which those not known count 0: divided by the
    number of known ones, the shares of a batch would not add up to it."""
    return ((answer - torch.nan_to_num(targets) / METRES).abs() * targets.isfinite()).mean()
