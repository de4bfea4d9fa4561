"""The reference's image augmentation of a batch: a crop, then brightness, contrast, saturation and hue."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the reference; the crop keeps `area` of the image, as the centre crop in evaluation does."""

    area: float = 0.9
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.05

    @classmethod
    def centre(cls, images: Tensor) -> Tensor:
        """The centre crop of evaluation, with unchanged colours: images (B, 3, S, S) in [0, 1]."""
        return crop(images, torch.full((len(images),), 0.5), cls.area)

    def draw(self, generator: torch.Generator) -> Tensor:
        """The five random numbers of one image, U(0, 1)."""
        return torch.rand(5, generator=generator)

    def __call__(self, images: Tensor, draws: Tensor) -> Tensor:
        """images (B, 3, S, S) in [0, 1], draws (B, 5) from `draw` -> (B, 3, S, S), clipped after every step."""
        position, brightness, contrast, saturation, hue = draws.to(images.device).view(-1, 5, 1, 1, 1).unbind(1)
        images = crop(images, position.flatten(), self.area)
        images = (images + self.brightness * (2 * brightness - 1)).clamp(0, 1)
        mean = images.mean(dim=(2, 3), keepdim=True)
        images = (mean + (images - mean) * (1 + self.contrast * (2 * contrast - 1))).clamp(0, 1)
        images = scale_saturation(images, 1 + self.saturation * (2 * saturation - 1))
        return turn_hue(images, self.hue * (2 * hue - 1)).clamp(0, 1)


def crop(images: Tensor, position: Tensor, area: float) -> Tensor:
    """A square crop of share `area`, resized to the full size, bilinear, corners aligned.

    position (B,) in [0, 1]: along the diagonal from the top left; the reference draws one number for both sides.
    """
    side = area**0.5
    size = images.shape[-1]
    offset = position.to(images) * (1 - side)
    steps = torch.linspace(0, 1, size, device=images.device, dtype=images.dtype)
    line = 2 * (offset.unsqueeze(1) + side * steps) - 1  # (B, S) in [-1, 1]
    grid = torch.stack([line.unsqueeze(1).expand(-1, size, -1), line.unsqueeze(2).expand(-1, -1, size)], dim=-1)
    return F.grid_sample(images, grid, mode="bilinear", align_corners=True)


def scale_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """HSV's saturation times `factor` (B, 1, 1, 1), at most 1; the brightest colour of a pixel stays."""
    high = images.amax(dim=1, keepdim=True)
    spread = high - images.amin(dim=1, keepdim=True)
    most = torch.where(spread > 0, high / torch.where(spread > 0, spread, 1.0), 1.0)  # the factor at which the saturation is 1
    return high - (high - images) * torch.minimum(factor, most)


def turn_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Rotate the hue by `turn` (B, 1, 1, 1), 1 being the full circle; grey stays grey."""
    red, green, blue = images.unbind(1)
    high, low = images.amax(dim=1), images.amin(dim=1)
    spread = high - low
    safe = torch.where(spread > 0, spread, 1.0)
    sector = torch.where(high == red, (green - blue) / safe % 6, (red - green) / safe + 4)
    sector = torch.where((high == green) & (high != red), (blue - red) / safe + 2, sector)
    sector = (sector + 6 * turn.flatten().view(-1, 1, 1)) % 6
    # HSV back to RGB: each colour is high minus a share of the spread that depends on its distance from the hue.
    shift = sector.new_tensor([5.0, 3.0, 1.0]).view(3, 1, 1)
    distance = (shift + sector.unsqueeze(1)) % 6
    return high.unsqueeze(1) - spread.unsqueeze(1) * torch.minimum(distance, 4 - distance).clamp(0, 1)
