"""How far the patches of a vision transformer see."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from vla_bench.interface.presets import NANO, NANO_LOCAL
from vla_bench.model.initialise import random_vla
from vla_bench.model.vision import Attention
from vla_bench.model.vla import Inputs
from vla_bench.pruners.registry import make_pruner

from ..nanos import answer, inputs

SIDE, PATCH = 8, 14
ROW, COLUMN = 3, 4


def changed_patches(reach: int | None) -> torch.Tensor:
    """Which patches' features change, in a grid (8, 8), if the pixels of the patch in row 3 and column 4 change."""
    backbone = random_vla(replace(NANO, reach=reach), seed=0).eval().openvla.vision_backbone
    pixels = torch.randn(1, 6, NANO.image_size, NANO.image_size, generator=torch.Generator().manual_seed(1))
    other = pixels.clone()
    other[:, :, ROW * PATCH : (ROW + 1) * PATCH, COLUMN * PATCH : (COLUMN + 1) * PATCH] += 1
    with torch.no_grad():
        return (backbone(pixels) != backbone(other)).any(dim=-1).view(SIDE, SIDE)


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_a_patch_is_seen_within_reach_and_not_beyond(reach):
    expected = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    expected[ROW - reach : ROW + reach + 1, COLUMN - reach : COLUMN + reach + 1] = True
    assert torch.equal(changed_patches(reach), expected)


def test_without_a_reach_all_patches_see_all():
    assert changed_patches(None).all()


def test_a_patch_alone_mixes_its_own_value_only():
    x = torch.randn(2, 9, NANO.dino.width)
    whole, alone = Attention(NANO.dino), Attention(NANO.dino, sees=0)
    alone.load_state_dict(whole.state_dict())
    q, k, v = whole.qkv(x).view(2, 9, 3, NANO.dino.heads, -1).permute(2, 0, 3, 1, 4)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=torch.eye(9, dtype=torch.bool))
    torch.testing.assert_close(alone(x), whole.proj(mixed.transpose(1, 2).flatten(2)))
    alone.qkv = torch.nn.Sequential(alone.qkv)  # as an adapter wraps it
    torch.testing.assert_close(alone(x), whole.proj(mixed.transpose(1, 2).flatten(2)))


@pytest.mark.parametrize("sees", [0, 1])
def test_received_attention_sums_to_one(sees):
    received = Attention(NANO.siglip, sees).received(torch.randn(3, 16, NANO.siglip.width))
    torch.testing.assert_close(received.sum(dim=1), torch.ones(3))
    assert (received.std(dim=1) > 0).all() == (sees == 1)


def test_the_cameras_one_by_one_see_the_same():
    backbone = random_vla(NANO_LOCAL, seed=0).eval().openvla.vision_backbone
    pixels = torch.randn(2, 12, NANO.image_size, NANO.image_size)
    with torch.no_grad():
        torch.testing.assert_close(backbone(pixels), backbone(pixels, lean=False, together=False))


@pytest.mark.parametrize("pruner", ["none", "lightvla", "score-siglip(keep=9)"])
def test_the_whole_model_with_near_patches(pruner):
    model = random_vla(replace(NANO, reach=1), 0, make_pruner(pruner)).eval()
    batch = inputs(2)
    actions = answer(model, batch).actions
    assert actions.shape == (2, 8, 7) and actions.isfinite().all()
    alone = answer(model, Inputs(batch.pixel_values[:1], batch.prompts[:1], batch.proprio[:1])).actions
    torch.testing.assert_close(alone, actions[:1], rtol=1e-4, atol=1e-5)
