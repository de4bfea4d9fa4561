"""The small networks beside the towers: the vision projector, the proprio projector and the L1 action head of OpenVLA-OFT; and
what stands for the head where actions are tokens."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_bench.interface.config import PROJECTOR_GROWTH, RESIDUAL_BLOCKS, VLAConfig
from vla_bench.model.action_tokens import decode


class Projector(nn.Module):
    """Fused patch features (..., vision) -> decoder width (..., D)."""

    def __init__(self, config: VLAConfig):
        super().__init__()
        wide = PROJECTOR_GROWTH * config.vision_width
        self.fc1 = nn.Linear(config.vision_width, wide)
        self.fc2 = nn.Linear(wide, config.llm.width)
        self.fc3 = nn.Linear(config.llm.width, config.llm.width)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc3(F.gelu(self.fc2(F.gelu(self.fc1(features)))))


class ProprioProjector(nn.Module):
    """Normalised robot state (B, 8) -> one token (B, 1, D)."""

    def __init__(self, config: VLAConfig):
        super().__init__()
        self.fc1 = nn.Linear(config.proprio_dim, config.llm.width)
        self.fc2 = nn.Linear(config.llm.width, config.llm.width)

    def forward(self, proprio: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(proprio))).unsqueeze(1)


class ResidualBlock(nn.Module):
    """x + ReLU(Linear(LayerNorm(x)))."""

    def __init__(self, width: int):
        super().__init__()
        self.ffn = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.ffn(x)


class ResidualMLP(nn.Module):
    """LayerNorm, Linear, ReLU, residual blocks, LayerNorm, Linear."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(inputs)
        self.fc1 = nn.Linear(inputs, hidden)
        self.mlp_resnet_blocks = nn.ModuleList(ResidualBlock(hidden) for _ in range(RESIDUAL_BLOCKS))
        self.layer_norm2 = nn.LayerNorm(hidden)
        self.fc2 = nn.Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.fc1(self.layer_norm1(x)))
        for block in self.mlp_resnet_blocks:
            x = block(x)
        return self.fc2(self.layer_norm2(x))


class ActionHead(nn.Module):
    """Hidden states of the action slots (B, 56, D) -> normalised actions (B, 8, 7): seven states make one time step.

    Not clipped: actions may leave [-1, 1].
    """

    def __init__(self, config: VLAConfig):
        super().__init__()
        self.chunk = config.chunk
        self.model = ResidualMLP(config.action_dim * config.llm.width, config.llm.width, config.action_dim)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.model(hidden.reshape(len(hidden), self.chunk, -1))


def token_actions(logits: Tensor, config: VLAConfig) -> Tensor:
    """Logits of the action slots (B, 56, vocabulary) -> normalised actions (B, 8, 7) float32: the middle of the likeliest bin.

    OpenVLA-OFT trained without a head answers so, all slots at once.
    """
    tokens = config.tokens
    middles = decode(np.arange(logits.shape[-1]), tokens.actions_end, tokens.action_bins)
    likeliest = logits.argmax(dim=-1)
    return torch.from_numpy(middles).float().to(logits.device)[likeliest].view(len(logits), config.chunk, -1)
