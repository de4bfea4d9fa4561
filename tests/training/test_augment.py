"""Augmentation, against plain arithmetic and against the reference's, pixel by pixel."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
import torch

from vla_bench.training.augment import Augmentation, crop, scale_saturation, turn_hue


def test_augmentation_against_plain_arithmetic():
    images = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(crop(images, torch.tensor([0.0, 1.0]), 1.0), images, atol=1e-6)
    corner = crop(images, torch.tensor([0.0, 1.0]), 0.36)
    assert torch.allclose(corner[0, :, 0, 0], images[0, :, 0, 0]) and torch.allclose(corner[1, :, -1, -1], images[1, :, -1, -1])
    turned = turn_hue(images, torch.tensor([0.04, -0.04]).view(2, 1, 1, 1))
    greyer = scale_saturation(images, torch.tensor([0.8, 1.2]).view(2, 1, 1, 1))
    for i, turn, factor in ((0, 0.04, 0.8), (1, -0.04, 1.2)):
        h, s, v = colorsys.rgb_to_hsv(*images[i, :, 2, 3].tolist())
        assert turned[i, :, 2, 3].tolist() == pytest.approx(colorsys.hsv_to_rgb((h + turn) % 1, s, v), abs=1e-5)
        assert greyer[i, :, 2, 3].tolist() == pytest.approx(colorsys.hsv_to_rgb(h, min(1, s * factor), v), abs=1e-5)


def augmented_by_hand(image, place, brightness, contrast, saturation, hue):
    """The reference's augmentation of one image (S, S, 3), pixel by pixel; the last four are what is added or multiplied."""
    size, side = len(image), 0.9**0.5
    found = np.empty_like(image)
    for row, column in np.ndindex(size, size):
        y, x = ((place * (1 - side) + side * i / (size - 1)) * (size - 1) for i in (row, column))
        top, left = min(int(y), size - 2), min(int(x), size - 2)
        (a, b), (c, d) = image[top : top + 2, left : left + 2]
        y, x = y - top, x - left
        found[row, column] = (1 - y) * ((1 - x) * a + x * b) + y * ((1 - x) * c + x * d)
    found = np.clip(found + brightness, 0, 1)
    mean = found.mean(axis=(0, 1))
    found = np.clip(mean + (found - mean) * contrast, 0, 1)
    for row, column in np.ndindex(size, size):
        h, s, v = colorsys.rgb_to_hsv(*found[row, column])
        found[row, column] = colorsys.hsv_to_rgb((h + hue) % 1, min(1, s * saturation), v)
    return found


def test_the_augmentation_is_the_references():
    """Every number drawn another way, every step clipped: crop, brightness, contrast, saturation, hue."""
    images = torch.rand(2, 3, 7, 7, generator=torch.Generator().manual_seed(1))
    draws = torch.tensor([[0.1, 0.9, 0.95, 0.05, 0.8], [0.7, 0.15, 0.8, 0.9, 0.3]])
    made = Augmentation()(images, draws).permute(0, 2, 3, 1).numpy()
    shifts = [(0.1, 0.16, 1.18, 0.82, 0.03), (0.7, -0.14, 1.12, 1.16, -0.02)]
    for image, shift, found in zip(images.permute(0, 2, 3, 1).double().numpy(), shifts, made, strict=True):
        assert np.abs(augmented_by_hand(image, *shift) - found).max() < 1e-5
