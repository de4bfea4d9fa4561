"""Auxiliary loss: predict the positions of the task's objects.  It helps a small model to see; its head is dropped afterwards."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_bench.training.samples import KEYPOINTS

METRES = 0.1  # unit of the predictions, so that the loss has the magnitude of the action loss


class KeypointHead(nn.Module):
    """Mean hidden state of the action slots (B, 56, D) -> `Batch.targets`, (B, KEYPOINTS, 3) in units of `METRES`."""

    def __init__(self, width: int):
        super().__init__()
        self.answer = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3 * KEYPOINTS))

    def forward(self, slots: Tensor) -> Tensor:
        return self.answer(slots.mean(dim=1)).view(-1, KEYPOINTS, 3)


def keypoint_loss(predicted: Tensor, targets: Tensor) -> Tensor:
    """Mean distance along an axis, in units of `METRES`, over all keypoints, of which unknown (NaN) ones count 0: a mean over
    the known ones would differ between a batch and its micro-batches."""
    return ((predicted - torch.nan_to_num(targets) / METRES).abs() * targets.isfinite()).mean()
