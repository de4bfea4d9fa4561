"""`config.json`: written and read back, completed where it is public, refused where this model cannot have it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from vla_bench.checkpoints.config_file import ModelFamily, read_config, read_config_file, write_config
from vla_bench.errors import CheckpointError
from vla_bench.interface.config import LLMConfig, TokenIds, VLAConfig
from vla_bench.interface.presets import NANO_LOCAL

from ..made_checkpoints import HEAD, ODD, PROPRIO, PUBLIC, STATISTICS, TINY, change_config, load, public


@pytest.fixture
def folder(tmp_path):
    return public(tmp_path / "tiny")


@pytest.mark.parametrize("config", [VLAConfig(), TINY, PUBLIC, ODD, NANO_LOCAL], ids=["7b", "tiny", "public ids", "odd", "near"])
def test_config_round_trip(config, tmp_path):
    write_config(tmp_path, config, STATISTICS, kind="lightvla", pruner="lightvla", action_slice="reference", dtype="bfloat16")
    file = read_config_file(tmp_path)
    assert file.config == config and read_config(tmp_path) == config
    assert (file.norm_stats, file.origin.kind, file.origin.pruner) == (STATISTICS, ModelFamily.LIGHTVLA, "lightvla")
    assert file.origin.action_slice == "reference"


def test_config_of_7b_says_what_the_public_one_says(tmp_path):
    """Written by hand after the public openvla-7b configuration; our block aside, sizes are only spelled out."""
    write_config(tmp_path, VLAConfig(), {}, kind="openvla-oft", pruner="none", action_slice="aligned", dtype="bfloat16")
    table = json.loads((tmp_path / "config.json").read_text())
    text = table.pop("text_config")
    assert table | {"vla_bench": None} == {
        "arch_specifier": "no-align+fused-gelu-mlp",
        "architectures": ["OpenVLAForActionPrediction"],
        "hf_llm_id": "meta-llama/Llama-2-7b-hf",
        "image_resize_strategy": "resize-naive",
        "image_sizes": [224, 224],
        "llm_backbone_id": "llama2-7b-pure",
        "llm_max_length": 2048,
        "model_type": "openvla",
        "n_action_bins": 256,
        "norm_stats": {},
        "output_projector_states": False,
        "pad_to_multiple_of": 64,
        "pad_token_id": 32000,
        "timm_model_ids": ["vit_large_patch14_reg4_dinov2.lvd142m", "vit_so400m_patch14_siglip_224"],
        "timm_override_act_layers": [None, None],
        "torch_dtype": "bfloat16",
        "use_fused_vision_backbone": True,
        "vision_backbone_id": "dinosiglip-vit-so-224px",
        "vla_bench": None,
    }
    assert {"model_type": "llama", "pad_token_id": 32000, "torch_dtype": "bfloat16", "vocab_size": 32064}.items() <= text.items()


@pytest.mark.parametrize(
    ("left", "expected"),
    [
        ((HEAD, PROPRIO), (2, 8, True, ModelFamily.OPENVLA_OFT)),
        ((HEAD,), (2, 0, True, ModelFamily.OPENVLA_OFT)),
        ((), (1, 0, False, ModelFamily.OPENVLA)),
    ],
)
def test_public_config_is_completed_by_the_files_beside_it(folder, left, expected):
    for name in {HEAD, PROPRIO} - set(left):
        (folder / name).unlink()
    loaded = load(folder)
    config = loaded.config
    assert (config.cameras, config.proprio_dim, config.l1_head, loaded.kind) == expected
    assert (loaded.model.action_head is not None, loaded.model.proprio_projector is not None) == (expected[2], expected[1] > 0)
    assert config.tokens == TokenIds() and config.name == "tiny"


def test_defaults_of_the_public_text_config(folder):
    """The public file names three numbers of the decoder; the rest are LlamaConfig's."""
    change_config(folder, lambda t: t.update(text_config={"model_type": "llama", "pad_token_id": 32000, "vocab_size": 32064}))
    assert read_config(folder).llm == LLMConfig()
    change_config(folder, lambda t: t.pop("timm_overrides"))
    change_config(folder, lambda t: t.update(image_sizes=[224, 224]))
    assert read_config(folder) == VLAConfig()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.update(model_type="pi0"), "a 'pi0' model, and only 'openvla' can be read"),
        (lambda t: (t.pop("model_type"), t.update(type="smolvla")), "'smolvla' model"),
        (lambda t: t.pop("model_type"), "has no model_type"),
        (lambda t: t["timm_model_ids"].reverse(), "vision backbone"),
        (lambda t: t.update(timm_model_ids=["vit_so400m_patch14_siglip_224"], vision_backbone_id="siglip"), "'siglip'"),
        (lambda t: t.update(timm_override_act_layers=["quick_gelu", None]), "quick_gelu"),
        (lambda t: t["timm_overrides"][0].update(drop_path=0.1), "drop_path"),
        (lambda t: t["timm_overrides"][0].update(depth="3"), "depth"),
        (lambda t: t.update(image_sizes=[28, 56]), "image_sizes"),
        (lambda t: t.update(image_sizes=[30, 30]), "30 pixels"),
        (lambda t: t["text_config"].update(num_key_value_heads=1), "shares keys"),
        (lambda t: t["text_config"].update(hidden_act="gelu"), "hidden_act"),
        (lambda t: t["text_config"].update(rope_scaling={"type": "linear"}), "rope_scaling"),
        (lambda t: t["text_config"].update(rope_parameters={"rope_type": "yarn"}), "yarn"),
        (lambda t: t["text_config"].update(hidden_size=10), "width of 10"),
        (lambda t: t.update(vla_bench={"kind": "openvla-oft", "action_slice": "aligned", "experts": 4}), "experts"),
        (lambda t: t.update(vla_bench={"kind": "rt2", "action_slice": "aligned"}), "rt2"),
        (lambda t: t.update(vla_bench={"kind": "lightvla", "action_slice": "left"}), "left"),
        (lambda t: t.update(vla_bench={"kind": "lightvla", "action_slice": "aligned", "cameras": True}), "cameras"),
        (lambda t: t.update(n_action_bins=40000), "40000 action bins"),
    ],
)
def test_what_cannot_be_run_is_refused(folder, change, words):
    change_config(folder, change)
    with pytest.raises(CheckpointError, match="config.json") as caught:
        load(folder)
    assert words in caught.value.message


def test_reading_a_configuration_needs_no_torch():
    code = "import sys, vla_bench.checkpoints.config_file, vla_bench.checkpoints.hub; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_model_that_cannot_be_written_is_refused(tmp_path):
    broken = replace(TINY, dino=replace(TINY.dino, timm_id="vit_tiny"))
    with pytest.raises(CheckpointError, match="vit_tiny"):
        write_config(tmp_path, broken, {}, kind="openvla", pruner="none", action_slice="aligned", dtype="float32")
    with pytest.raises(CheckpointError, match='unknown model family "rt2"'):
        write_config(tmp_path, TINY, {}, kind="rt2", pruner="none", action_slice="aligned", dtype="float32")
    assert not (tmp_path / "config.json").exists()
