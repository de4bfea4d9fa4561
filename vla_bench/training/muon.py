"""Muon (Jordan et al. 2024): orthogonalised momentum, for the weight matrices of a training from random weights.

PyTorch's own iterates in bfloat16, which takes 18 times as long on a CPU without bfloat16 instructions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.775, 2.0315)  # of Jordan's quintic; singular values end between 0.7 and 1.2
ITERATIONS = 5


class Muon(torch.optim.Optimizer):
    """Every step moves a matrix (rows, columns) by about `lr * max(1, rows / columns)^0.5` in spectral norm.

    weight_decay: times `lr`, as AdamW's.
    """

    def __init__(self, params: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for shape, members in _by_shape(group["params"]).items():
                self._step(group, shape, members)

    def load_state_dict(self, state_dict: dict) -> None:
        """As torch's, but averages stay float32 also for matrices of another dtype."""
        super().load_state_dict(state_dict)
        params = [p for group in self.param_groups for p in group["params"]]
        for number, state in state_dict["state"].items():
            self.state[params[number]]["average"] = state["average"].to(params[number].device, torch.float32, copy=True)

    def _step(self, group: dict, shape: torch.Size, members: list[nn.Parameter]) -> None:
        """Update all matrices of one shape in one batch."""
        gradients = torch.stack([p.grad for p in members]).float()
        averages = torch.stack([self._average(p) for p in members])
        averages.lerp_(gradients, 1 - group["momentum"])
        update = orthogonalise(gradients.lerp(averages, group["momentum"]))  # Nesterov momentum
        size = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
        for p, average, step in zip(members, averages, update, strict=True):
            self.state[p]["average"].copy_(average)
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(step.to(p.dtype), alpha=-size)

    def _average(self, p: nn.Parameter) -> Tensor:
        if "average" not in self.state[p]:
            self.state[p]["average"] = torch.zeros_like(p, dtype=torch.float32)
        return self.state[p]["average"]


def orthogonalise(matrices: Tensor) -> Tensor:
    """(B, rows, columns) -> the same with every singular value near 1: Newton and Schulz's iteration on X X^T."""
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x


def _by_shape(params: Iterable[nn.Parameter]) -> dict[torch.Size, list[nn.Parameter]]:
    groups = defaultdict(list)
    for p in params:
        if p.grad is not None:
            groups[p.shape].append(p)
    return groups
