"""The fused vision backbone: DINOv2 and SigLIP side by side, concatenated patch by patch.

Own modules with timm's parameter names, since timm cannot be imported beside a CPU-only torch (its hard import of
torchvision) and transformers' ViTs name and split their weights differently.  One name differs from timm: LayerScale's
`gamma` is `scale_factor`, as the public checkpoints have it.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vla_bench.interface.config import ViTConfig, VLAConfig

NORM_EPS = 1e-6
BLOCK_READ = -2  # the feature is the second-to-last block's output, without the final norm


class PatchEmbed(nn.Module):
    """Image (B, 3, S, S) -> patches (B, (S/patch)^2, width), row-major."""

    def __init__(self, vit: ViTConfig):
        super().__init__()
        self.proj = nn.Conv2d(3, vit.width, kernel_size=vit.patch, stride=vit.patch)

    def forward(self, images: Tensor) -> Tensor:
        return self.proj(images).flatten(2).transpose(1, 2)


class Attention(nn.Module):
    """Self-attention with fused q, k, v.

    sees: None for all tokens; 1 for the patches that touch one's own; 0 for oneself alone, where the mixed value is one's own,
        and queries and keys are not computed.
    """

    def __init__(self, vit: ViTConfig, sees: int | None = None):
        super().__init__()
        self.heads = vit.heads
        self.sees = sees
        self.qkv = nn.Linear(vit.width, 3 * vit.width)
        self.proj = nn.Linear(vit.width, vit.width)

    def forward(self, x: Tensor) -> Tensor:
        if self.sees == 0:
            return self.proj(self._values(x))
        q, k, v = self._split(x)
        near = None if self.sees is None else touching(x.shape[1], x.device)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=near)
        return self.proj(mixed.transpose(1, 2).reshape(x.shape))

    def received(self, x: Tensor) -> Tensor:
        """How much attention each token receives, mean over heads and queries, float32: (B, T), a row summing to 1."""
        if self.sees == 0:
            return torch.full(x.shape[:2], 1 / x.shape[1], device=x.device)
        q, k, _ = self._split(x)
        scores = (q @ k.mT).float() * q.shape[-1] ** -0.5
        if self.sees is not None:
            scores = scores.masked_fill(~touching(x.shape[1], x.device), -torch.inf)
        return scores.softmax(dim=-1).mean(dim=(1, 2))

    def _values(self, x: Tensor) -> Tensor:
        """(B, T, width)"""
        width = x.shape[-1]
        if type(self.qkv) is not nn.Linear:  # an adapter around it adds to all three
            return self.qkv(x)[..., 2 * width :]
        return F.linear(x, self.qkv.weight[2 * width :], self.qkv.bias[2 * width :])

    def _split(self, x: Tensor) -> Tensor:
        """Queries, keys and values: (3, B, heads, T, width / heads)."""
        batch, tokens, _ = x.shape
        return self.qkv(x).view(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)


class MLP(nn.Module):
    """Two linear layers around the exact (erf) GELU."""

    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class LayerScale(nn.Module):
    """A learned factor per channel."""

    def __init__(self, width: int):
        super().__init__()
        self.scale_factor = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale_factor


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, vit: ViTConfig, sees: int | None = None):
        super().__init__()
        self.norm1 = nn.LayerNorm(vit.width, eps=NORM_EPS)
        self.attn = Attention(vit, sees)
        self.norm2 = nn.LayerNorm(vit.width, eps=NORM_EPS)
        self.mlp = MLP(vit.width, vit.mlp)
        if vit.layer_scale:
            self.ls1, self.ls2 = LayerScale(vit.width), LayerScale(vit.width)
        else:
            self.ls1 = self.ls2 = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class AttentionPool(nn.Module):
    """SigLIP's pooling head: in the files, and never run by a VLA."""

    def __init__(self, vit: ViTConfig):
        super().__init__()
        self.latent = nn.Parameter(torch.zeros(1, 1, vit.width))
        self.q = nn.Linear(vit.width, vit.width)
        self.kv = nn.Linear(vit.width, 2 * vit.width)
        self.proj = nn.Linear(vit.width, vit.width)
        self.norm = nn.LayerNorm(vit.width, eps=NORM_EPS)
        self.mlp = MLP(vit.width, vit.mlp)


class ViT(nn.Module):
    """One vision transformer, read at its second-to-last block."""

    def __init__(self, vit: ViTConfig, config: VLAConfig):
        super().__init__()
        self.prefix = config.vit_tokens(vit) - config.patches  # CLS and registers; where no patch sees them, they are left out
        self.patch_embed = PatchEmbed(vit)
        self.pos_embed = nn.Parameter(0.02 * torch.randn(1, config.patches, vit.width))  # patches only, no prefix tokens
        if vit.registers is not None:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, vit.width))
            self.reg_token = nn.Parameter(torch.zeros(1, vit.registers, vit.width))
        self.blocks = nn.ModuleList(Block(vit, config.sees(block)) for block in range(vit.depth))
        self.norm = nn.LayerNorm(vit.width, eps=NORM_EPS)
        if vit.attention_pool:
            self.attn_pool = AttentionPool(vit)

    def forward(self, images: Tensor, lean: bool = True) -> Tensor:
        """Images (B, 3, S, S) -> patch features (B, patches, width).

        lean: leave out the last block, whose output is not used; the reference runs it.
        """
        x = self._enter(images)
        for block in self.blocks[: BLOCK_READ + 1]:
            x = block(x)
        if not lean:
            self.blocks[-1](x)
        return x[:, self.prefix :]

    def with_attention(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The features, and how much attention each patch receives in the block that they come from: (B, patches)."""
        x = self._enter(images)
        for block in self.blocks[:BLOCK_READ]:
            x = block(x)
        last = self.blocks[BLOCK_READ]
        received = last.attn.received(last.norm1(x))
        return last(x)[:, self.prefix :], received[:, self.prefix :]

    def _enter(self, images: Tensor) -> Tensor:
        x = self.patch_embed(images) + self.pos_embed
        if self.prefix:
            batch = len(images)
            x = torch.cat([self.cls_token.expand(batch, -1, -1), self.reg_token.expand(batch, -1, -1), x], dim=1)
        return x


class VisionBackbone(nn.Module):
    """`dinosiglip-vit-so-224px`: both ViTs on every camera."""

    def __init__(self, config: VLAConfig):
        super().__init__()
        self.featurizer = ViT(config.dino, config)
        self.fused_featurizer = ViT(config.siglip, config)

    def forward(self, pixel_values: Tensor, lean: bool = True, together: bool = True) -> Tensor:
        """Pixels (B, 6 * cameras, S, S), three DINOv2- then three SigLIP-normalised channels per camera
        -> features (B, cameras * patches, dino + siglip), camera after camera.

        together: all cameras in one call per ViT; the reference calls once per camera.
        """
        if not together:
            return torch.cat([self(camera, lean) for camera in pixel_values.split(6, dim=1)], dim=1)
        images = _one_by_one(pixel_values)
        features = torch.cat([self.featurizer(images[:, :3], lean), self.fused_featurizer(images[:, 3:], lean)], dim=-1)
        return features.reshape(len(pixel_values), -1, features.shape[-1])

    def with_attention(self, pixel_values: Tensor, together: bool = True) -> tuple[Tensor, Tensor]:
        """The features, and how much attention each patch receives in SigLIP, (B, cameras * patches), summing to 1 a camera."""
        if not together:
            cameras = [self.with_attention(camera) for camera in pixel_values.split(6, dim=1)]
            return tuple(torch.cat(parts, dim=1) for parts in zip(*cameras, strict=True))
        images = _one_by_one(pixel_values)
        siglip, received = self.fused_featurizer.with_attention(images[:, 3:])
        features = torch.cat([self.featurizer(images[:, :3]), siglip], dim=-1)
        batch = len(pixel_values)
        return features.reshape(batch, -1, features.shape[-1]), received.reshape(batch, -1)


@cache
def touching(patches: int, device: torch.device) -> Tensor:
    """Which patches of a square, row-major grid touch, corners and the patch itself included: (patches, patches) bool."""
    index, side = torch.arange(patches, device=device), math.isqrt(patches)
    place = torch.stack([index // side, index % side], dim=-1)
    return (place.unsqueeze(0) - place.unsqueeze(1)).abs().amax(dim=-1) <= 1


def _one_by_one(pixel_values: Tensor) -> Tensor:
    """(B, 6 * cameras, S, S) -> (B * cameras, 6, S, S): all cameras in one call per ViT."""
    batch, channels, *size = pixel_values.shape
    return pixel_values.reshape(batch * (channels // 6), 6, *size)
