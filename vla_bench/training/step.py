"""The loss of one training step, which a process computes on its share of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_bench.interface.pruner import Pruner
from vla_bench.model.shortcuts import FastLayer, Shortcuts
from vla_bench.model.vla import VLA, Output
from vla_bench.training.auxiliary import KeypointHead, keypoint_loss
from vla_bench.training.samples import GRIPPER, Batch, generator_of


class Loss(nn.Module):
    """Mean L1 distance between the predicted and the demonstrated chunk (LightVLA adds no loss of its own), plus `auxiliary`
    times the keypoint loss."""

    def __init__(self, model: VLA, auxiliary: float = 0.0):
        super().__init__()
        self.model = model
        self.auxiliary = auxiliary
        # "where." is the prefix of its weights in saved states.
        self.where = KeypointHead(model.config.llm.width) if auxiliary else None
        plain = model.openvla.language_model.model.layers
        self._shortcuts = Shortcuts(layers=(*plain[:-1], FastLayer(plain[-1], fused=False)), rows=True)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and scalars to log."""
        seed_noise(self.model.pruner, batch.seeds)
        output = self.model(batch.inputs, shortcuts=self._shortcuts)
        error = (output.actions.float() - batch.actions).abs()
        loss = error.mean()
        logged = {"action": loss.detach(), "gripper": error[..., GRIPPER].mean().detach(), "kept": kept_count(output)}
        if self.where is not None:
            keypoints = keypoint_loss(self.where(output.slots.float()), batch.targets)
            loss = loss + self.auxiliary * keypoints
            logged["where"] = keypoints.detach()
        return loss, logged


def seed_noise(pruner: Pruner | None, seeds: tuple[int, ...]) -> None:
    """Seed the pruner's noise per sample, so that it does not depend on the process or on a resume."""
    if pruner is not None:
        pruner.draw = lambda scores: torch.stack(
            [torch.rand(scores.shape[1:], generator=generator_of(seed)) for seed in seeds]
        ).to(scores)


def kept_count(output: Output) -> Tensor:
    """Number of different image tokens after pruning, mean over the batch."""
    patches = output.tokens.patches
    present = torch.zeros(len(patches.ids), output.tokens.layout.visual, device=patches.ids.device)
    valid = torch.ones_like(patches.ids, dtype=present.dtype) if patches.valid is None else patches.valid.to(present.dtype)
    return (present.scatter_add(1, patches.ids, valid) > 0).sum(dim=1).float().mean()
