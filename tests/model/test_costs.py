"""The closed form of what a query costs, against figures that were worked out apart from it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vla_bench.interface.config import DINOV2, SIGLIP, LLMConfig
from vla_bench.interface.lengths import Case, Lengths
from vla_bench.interface.presets import SEVEN_B
from vla_bench.model.costs import (
    head_macs,
    layer_macs,
    macs,
    mean_gflops,
    others,
    padded,
    projector_macs,
    proprio_macs,
    vit_macs,
)
from vla_bench.pruners.lightvla import lightvla_macs
from vla_bench.values import Scope

LLM = LLMConfig()
DENSE = 512


def total(prompt: int, visual: int, scope: Scope) -> float:
    pruner = 0 if visual == DENSE else lightvla_macs(Case(SEVEN_B, prompt))
    return sum(mean_gflops([macs(SEVEN_B, Lengths.even(SEVEN_B, prompt, visual), scope, pruner)]).values())


@pytest.mark.parametrize(
    ("prompt", "visual", "model", "reference"),
    [
        (28, 512, 8789.1, 8946.5),
        (28, 128, 3654.5, 3711.0),
        (28, 112, 3443.8, 3496.1),
        (28, 90, 3154.6, 3201.0),
        (28, 79, 3010.1, 3053.7),
        (28, 78, 2997.0, 3040.3),
        (28, 72, 2918.2, 2960.0),
        (28, 64, 2813.3, 2853.0),
        (35, 512, 8884.2, 9043.4),
        (35, 78, 3088.9, 3134.1),
    ],
)
def test_the_whole_model(prompt, visual, model, reference):
    assert round(total(prompt, visual, Scope.MODEL), 1) == model
    assert round(total(prompt, visual, Scope.REFERENCE), 1) == reference


def test_modules_of_the_dense_model():
    found = mean_gflops([macs(SEVEN_B, Lengths.even(SEVEN_B, 28, DENSE), Scope.REFERENCE)])
    expected = {"dino": 329.287, "siglip": 437.937, "projector": 73.082, "proprio": 0.034, "head": 2.416, "lm_head": 157.338}
    assert {name: round(found[name], 3) for name in expected} == expected
    executed = mean_gflops([macs(SEVEN_B, Lengths.even(SEVEN_B, 28, DENSE), Scope.EXECUTED)])
    assert found["dino"] - executed["dino"] == pytest.approx(13.695, abs=1e-3)
    assert found["siglip"] - executed["siglip"] == pytest.approx(16.194, abs=1e-3)
    assert "lm_head" not in executed


def whole(*queries: int) -> int:
    """Decoder layers on so many rows each."""
    return sum(sum(layer_macs(LLM, n, n)) for n in queries)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (whole(1), 202_383_360),
        (whole(100), 20_319_436_800),
        (whole(*[168] * 32), 1_095_367_655_424),
        (whole(*[291] * 32), 1_906_716_180_480),
        (whole(*[602] * 32), 3_993_557_270_528),
        (whole(*[602] * 2, *[346] * 30), 2_379_672_977_408),  # FastV before layer 2, half of 512 kept
        (whole(*[602] * 3, *[218] * 29), 1_665_101_987_840),
        (whole(*[602] * 4, *[218] * 28), 1_745_393_549_312),
        (whole(*[602] * 3, *[397] * 4, *[294] * 9, *[203] * 16), 1_905_505_632_256),  # SparseVLM v1.5
        (whole(*[346] * 32), 2_272_080_691_200),
        (vit_macs(DINOV2, SEVEN_B, 24), 82_321_784_832),
        (vit_macs(DINOV2, SEVEN_B, 23), 78_898_132_992),
        (vit_macs(SIGLIP, SEVEN_B, 27), 109_484_310_528),
        (vit_macs(SIGLIP, SEVEN_B, 26), 105_435_758_592),
        (projector_macs(SEVEN_B, 256), 18_270_388_224),
        (head_macs(SEVEN_B), 1_208_188_928),
        (proprio_macs(SEVEN_B), 8 * 4096 + 4096**2),
        (602 * 4096 * 32064, 79_063_154_688),
    ],
)
def test_integers_of_the_design(found, expected):
    assert found == expected


@pytest.mark.parametrize(("visual", "linear", "attention"), [(512, 183.3, 5.3), (78, 36.8, 0.3)])
def test_the_last_layer_for_the_rows_that_are_read(visual, linear, attention):
    lengths = Lengths.even(SEVEN_B, 28, visual)
    whole = mean_gflops([macs(SEVEN_B, lengths, Scope.EXECUTED)])
    some = mean_gflops([macs(SEVEN_B, lengths, Scope.EXECUTED, rows=True)])
    saved = {name: round(whole[name] - some[name], 1) for name in whole if whole[name] != some[name]}
    assert saved == {"llm_linear": linear, "llm_attention": attention}
    with pytest.raises(AssertionError, match="scope reference"):
        macs(SEVEN_B, lengths, Scope.REFERENCE, rows=True)


def test_padding_is_executed_and_fills_a_bucket():
    rest = others(SEVEN_B, 28)
    lengths = {v: padded(SEVEN_B, Lengths.even(SEVEN_B, 28, v)) for v in (1, 73, 74, 105, 106, 511, 512)}
    entering = {v: {rest + padded for padded in found.visual} for v, found in lengths.items()}
    # 87 other tokens; a full house is not padded, and no bucket is larger.
    assert entering == {1: {96}, 73: {160}, 74: {192}, 105: {192}, 106: {224}, 511: {599}, 512: {599}}
    assert macs(SEVEN_B, lengths[74], Scope.EXECUTED) == macs(SEVEN_B, lengths[105], Scope.EXECUTED)


def test_keys_that_are_only_seen_cost_attention_alone():
    lengths = Lengths(28, (100,) * 32, 512, (512,) * 32)
    seen, computed = macs(SEVEN_B, lengths), macs(SEVEN_B, Lengths(28, (100,) * 32, 512))
    assert seen["llm_linear"] == computed["llm_linear"]
    assert seen["llm_attention"] - computed["llm_attention"] == 32 * 2 * (100 + 87) * 412 * 4096


def test_the_mean_is_of_costs_and_not_the_cost_of_the_mean():
    few, many, middle = (macs(SEVEN_B, Lengths.even(SEVEN_B, 28, v)) for v in (50, 106, 78))
    assert mean_gflops([few, many])["llm_attention"] > mean_gflops([middle])["llm_attention"]
    assert mean_gflops([few, many])["llm_linear"] == pytest.approx(mean_gflops([middle])["llm_linear"])


def test_no_torch_is_needed():
    code = "import sys, vla_bench.model.costs; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
