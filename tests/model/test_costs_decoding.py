"""What decoding token by token costs: the design's integers, and the same by torch's own counter on the real model."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from vla_bench.interface.config import LLMConfig
from vla_bench.interface.lengths import Lengths
from vla_bench.interface.presets import NANO, SEVEN_B
from vla_bench.model.costs import head_macs, layer_macs, projector_macs, vit_macs
from vla_bench.model.costs_decoding import decoding_macs, steps_macs
from vla_bench.values import Scope

LLM = LLMConfig()
OPENVLA = replace(SEVEN_B, cameras=1, proprio_dim=0, l1_head=False)


def whole(*stretches: tuple[int, int], full: int | None = None) -> int:
    """(layers, rows), one after another; `full`: keys that all of them see, else their own rows."""
    return sum(layers * sum(layer_macs(LLM, rows, full or rows)) for layers, rows in stretches)


def cut(layer: int, full: int, left: int, layers: int = 32) -> int:
    return whole((layer, full), (layers - layer, left))


def cached(removed: tuple[int, ...], full: int) -> list[tuple[int, int]]:
    """Rows computed where so many are removed before layers 2, 6, 9 and 11."""
    return [(2, full), *((n, full - r) for n, r in zip((4, 3, 2, 21), removed, strict=True))]


AR, OFT = 291, 602  # tokens of a query
CACHED_AR, CACHED_OFT = cached((20, 40, 60, 80), AR), cached((40, 80, 120, 150), OFT)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (sum(steps_macs(LLM, [AR] * 32, 6)), 39_319_240_704),
        (sum(steps_macs(LLM, [AR] * 3 + [AR - 256 + 64] * 29, 6)), 39_045_562_368),
        (cut(2, AR, AR - 128), 1_115_313_930_240),  # FastV
        (cut(3, AR, AR - 128), 1_141_694_005_248),
        (cut(3, AR, AR - 192), 762_102_153_216),
        (cut(3, AR, AR - 224), 573_036_036_096),
        (cut(3, OFT, OFT - 256), 2_433_469_120_512),
        (cut(3, OFT, OFT - 448), 1_283_837_657_088),
        (whole((3, AR), (4, 35 + 72), (9, 35 + 32), (16, 35 + 18)), 560_091_889_664),  # SparseVLM
        (whole((3, OFT), (4, 390), (9, 290), (16, 208)), 1_908_660_240_384),
        (whole((3, OFT), (4, 90 + 73), (9, 90 + 29), (16, 90 + 16)), 1_069_704_093_696),
        (whole(*CACHED_OFT, full=OFT), 3_207_864_680_448),  # VLA-Cache: every key is seen
        (whole(*CACHED_OFT), 3_193_490_341_888),  # ... as its own counter has it
        (whole(*CACHED_AR, full=AR), 1_497_198_100_480),
        (whole(*CACHED_AR), 1_493_642_772_480),
        (whole((32, 90 + 128)), 1_424_227_303_424),
        (whole((32, 90 + 64)), 1_003_521_835_008),
        (cut(2, AR, 35 + 112), 1_016_954_880_000),  # EfficientVLA, with decoder layers removed
        (cut(2, AR, 35 + 112, layers=28), 897_250_197_504),
        (cut(2, AR, 35 + 112, layers=22), 717_693_173_760),
        (57 * 4096 * 32064, 7_486_046_208),
        (
            whole((32, OFT))
            + 2 * (vit_macs(SEVEN_B.dino, SEVEN_B, 24) + vit_macs(SEVEN_B.siglip, SEVEN_B, 27))
            + projector_macs(SEVEN_B, 512)
            + head_macs(SEVEN_B),
            4_414_918_426_624,
        ),
    ],
)
def test_integers_of_the_design(found, expected):
    assert found == expected


def test_a_query_is_its_first_pass_and_six_rows():
    found = decoding_macs(OPENVLA, Lengths.even(OPENVLA, AR - 257, 256))
    assert found["llm_linear"] + found["llm_attention"] == whole((32, AR)) == 1_906_716_180_480
    assert found["decode_linear"] + found["decode_attention"] == 39_319_240_704
    assert found["lm_head"] == 7 * 4096 * 32064 and "head" not in found and found["proprio"] == 0
    reference = decoding_macs(OPENVLA, Lengths.even(OPENVLA, AR - 257, 256), Scope.REFERENCE)
    assert reference["lm_head"] == (AR + 6) * 4096 * 32064


@pytest.mark.parametrize(("scope", "kept"), [(Scope.EXECUTED, 128), (Scope.MODEL, 40)])
def test_torch_counts_the_same_while_the_model_decodes(scope, kept):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from vla_bench.measure.counted import counted
    from vla_bench.measure.meta import meta_query
    from vla_bench.model.vla import Inputs

    model = meta_query(NANO, counted("random", NANO, (kept,)), scope, 12)
    counter = FlopCounterMode(display=False)
    if scope is Scope.MODEL:  # the logits are read here, whatever the scope
        with torch.device("meta"):
            model.openvla.language_model.lm_head = torch.nn.Linear(NANO.llm.width, NANO.llm.vocab, bias=False)
    with counter, torch.no_grad():
        model.decode(Inputs(model.example()[0], (model.prompt,), model.example()[1]))
    expected = decoding_macs(NANO, Lengths.even(NANO, 12, kept), scope)
    assert counter.get_total_flops() == 2 * sum(expected.values())


def test_no_torch_is_needed():
    code = "import sys, vla_bench.model.costs_decoding; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
