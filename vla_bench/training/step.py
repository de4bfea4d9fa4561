"""One training step's loss: what a process computes on its share of a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_bench.interface.pruner import Pruner
from vla_bench.model.shortcuts import FastLayer, Shortcuts
from vla_bench.model.vla import VLA, Output
from vla_bench.training.auxiliary import KeypointHead, keypoint_loss
from vla_bench.training.samples import GRIPPER, Batch, generator_of


class Loss(nn.Module):
    """Mean L1 distance between the chunk answered and the expert's (paper: LightVLA has no loss of its own), plus `auxiliary`
    times the distance of the objects' positions."""

    def __init__(self, model: VLA, auxiliary: float = 0.0):
        super().__init__()
        self.model = model
        self.auxiliary = auxiliary
        self.where = KeypointHead(model.config.llm.width) if auxiliary else None
        plain = model.openvla.language_model.model.layers
        self._shortcuts = Shortcuts(layers=(*plain[:-1], FastLayer(plain[-1], fused=False)), rows=True)

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, and what to log."""
        seed_noise(self.model.pruner, batch.seeds)
        output = self.model(batch.inputs, shortcuts=self._shortcuts)
        error = (output.actions.float() - batch.actions).abs()
        loss = error.mean()
        seen = {"action": loss.detach(), "gripper": error[..., GRIPPER].mean().detach(), "kept": picked(output)}
        if self.where is not None:
            where = keypoint_loss(self.where(output.slots.float()), batch.targets)
            loss = loss + self.auxiliary * where
            seen["where"] = where.detach()
        return loss, seen


def seed_noise(pruner: Pruner | None, seeds: tuple[int, ...]) -> None:
    """Noise that belongs to the samples: the same whichever process draws it, and after a resume."""
    if pruner is not None:
        pruner.draw = lambda scores: torch.stack(
            [torch.rand(scores.shape[1:], generator=generator_of(seed)) for seed in seeds]
        ).to(scores)


def picked(output: Output) -> Tensor:
    """Different image tokens that went on, mean over the batch."""
    patches = output.tokens.patches
    there = torch.zeros(len(patches.ids), output.tokens.layout.visual, device=patches.ids.device)
    valid = torch.ones_like(patches.ids, dtype=there.dtype) if patches.valid is None else patches.valid.to(there.dtype)
    return (there.scatter_add(1, patches.ids, valid) > 0).sum(dim=1).float().mean()
