"""What loading a checkpoint decides on the way, and the public models: the 7B and the golden one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vla_bench import environment
from vla_bench.checkpoints import identity as hashing
from vla_bench.checkpoints.checkpoint import save
from vla_bench.checkpoints.config_file import ModelFamily, TrainingOrigin, read_config_file, to_table
from vla_bench.checkpoints.files import read_header, shards
from vla_bench.checkpoints.identity import identity
from vla_bench.errors import CheckpointError, ModelError
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.config import VLAConfig
from vla_bench.model.vla import VLA, Inputs
from vla_bench.pruners.lightvla import LightVLA
from vla_bench.pruners.wrappers import PlusRandom

from ..made_checkpoints import (
    HEAD,
    PROPRIO,
    SHARD,
    STATISTICS,
    TINY,
    TopK,
    answer,
    change_config,
    change_tensors,
    load,
    make,
    public,
    write,
)


@pytest.fixture
def folder(tmp_path):
    return public(tmp_path / "oft")


@pytest.mark.parametrize(
    ("name", "heads", "kind", "pruner", "rows"),
    [
        ("models--TTJiang--LightVLA-libero-goal/snapshots/0a1b", True, "lightvla", "lightvla", "reference"),
        ("LightVLA-libero-goal", True, "lightvla", "lightvla", "reference"),
        ("models--someone--my-lightvla/snapshots/0a1b", True, "lightvla", "lightvla", "aligned"),
        ("models--TTJiang--oft/snapshots/0a1b", True, "openvla-oft", "none", "aligned"),
        ("models--moojink--openvla-7b-oft-finetuned-libero-goal/snapshots/0a1b", True, "openvla-oft", "none", "aligned"),
        ("openvla-7b", False, "openvla", "none", "aligned"),
    ],
)
def test_kind_pruner_and_slice_follow_the_origin(tmp_path, name, heads, kind, pruner, rows):
    folder = public(tmp_path / name)
    if not heads:
        (folder / HEAD).unlink(), (folder / PROPRIO).unlink()
    loaded = load(folder)
    assert loaded.kind == kind and loaded.model.action_slice.value == rows
    assert (loaded.model.pruner.name if loaded.model.pruner else "none") == pruner
    card = dict(loaded.card)
    assert card["model"].startswith(kind) and card["pruner"].startswith(pruner) and card["action slice"].startswith(rows)


@pytest.mark.parametrize("name", ["TTJiang--LightVLA-libero-goal", "moojink--openvla-7b-oft-finetuned-libero-10"])
def test_a_download_without_its_head_does_not_pass_for_plain_openvla(tmp_path, name):
    """Of the public checkpoints it is known that they have one; of a folder with the same files no name says anything."""
    folder = public(tmp_path / f"models--{name}" / "snapshots" / "0a1b")
    (folder / HEAD).unlink(), (folder / PROPRIO).unlink()
    with pytest.raises(CheckpointError, match="should have an action head") as caught:
        load(folder)
    assert caught.value.fix.startswith("hf download ")
    for called in ("softvla", "LightVLA-libero-goal", "my-oft"):
        loaded = load(folder.rename(tmp_path / called))
        folder = loaded.folder
        assert (loaded.kind, loaded.decoding[0]) == ("openvla", None)


def test_a_block_of_ours_outweighs_the_name(tmp_path):
    loaded = load(write(tmp_path / "LightVLA-libero-goal", make(TINY)))
    assert (loaded.kind, loaded.model.pruner, loaded.model.action_slice) == ("openvla-oft", None, ActionSlice.ALIGNED)


def test_what_is_asked_for_outweighs_everything(folder):
    loaded = load(folder, pruner="lightvla", action_slice="reference", dtype=torch.bfloat16, device="cpu")
    card = dict(loaded.card)
    assert loaded.model.pruner.name == "lightvla" and loaded.model.action_slice is ActionSlice.REFERENCE
    assert [card[k] for k in ("pruner", "action slice", "dtype", "device")] == [
        f"{value} (asked for)" for value in ("lightvla", "reference", "bfloat16", "cpu")
    ]
    given = LightVLA()
    assert load(folder, pruner=given).model.pruner is given
    with pytest.raises(ModelError, match="sideways"):
        load(folder, action_slice="sideways")
    with pytest.raises(ModelError, match='no device "gpu"'):
        load(folder, device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="sees 0 CUDA devices"):
            load(folder, device="cuda")
        assert card["dtype"] == "bfloat16 (asked for)" and "float32" in dict(load(folder).card)["dtype"]


def test_a_trainable_pruner_gets_its_own_parameters_only(tmp_path, folder):
    trained = make(TINY, TopK())
    mine = write(tmp_path / "mine", trained)
    fresh = TopK()
    assert torch.equal(load(mine, pruner=fresh).model.pruner.query, trained.pruner.query)
    inside = PlusRandom(TopK())
    assert torch.equal(load(mine, pruner=inside).model.pruner.inner.query, trained.pruner.query)
    other = TopK(8)
    before = other.query.clone()
    loaded = load(folder, pruner=other)  # a checkpoint that knows nothing of it
    assert torch.equal(loaded.model.pruner.query, before) and "untrained" in dict(loaded.card)["pruner"]
    with pytest.raises(CheckpointError, match='own pruner cannot be made: unknown pruner "top-k"'):
        load(mine)
    with pytest.raises(CheckpointError, match="of another shape: query"):
        load(mine, pruner=TopK(8))
    (mine / "pruner--40000_checkpoint.safetensors").unlink()
    with pytest.raises(CheckpointError, match="has no pruner"):
        load(mine, pruner=TopK())


def test_statistics_of_the_fine_tuning_win(folder):
    other = {"libero_10_no_noops": {"action": {}}}
    change_config(folder, lambda t: t.update(norm_stats=other))
    assert load(folder).statistics == STATISTICS
    (folder / "dataset_statistics.json").unlink()
    loaded = load(folder)
    assert loaded.statistics == other and dict(loaded.card)["statistics"].startswith("libero_10_no_noops (norm_stats")
    change_config(folder, lambda t: t.update(norm_stats=None))
    with pytest.raises(CheckpointError, match="no action statistics"):
        load(folder)


def test_the_card_names_everything(tmp_path):
    tokenizer = tmp_path / "words.json"
    tokenizer.write_text("{}")
    loaded = load(write(tmp_path / "x", make(TINY), tokenizer_file=tokenizer))
    assert loaded.tokenizer_file == tmp_path / "x" / "tokenizer.json" and loaded.tokenizer_file.read_text() == "{}"
    card = dict(loaded.card)
    assert card["parameters"] == f"{sum(p.numel() for p in loaded.model.parameters()):,}"
    assert card["cameras"] == "2, 8 image tokens, with proprioception (from its config.json)"
    assert card["center crop"] == "yes (from its config.json)"
    assert card["image size"] == "28 px (of frames of 256 px, 4 patches a camera)"
    assert card["chunk"] == "8 steps of 7 values (from its config.json)"
    assert card["action head"] == "L1" and loaded.decoding == ("l1", "it has an L1 head")
    assert card["statistics"] == "libero_goal_no_noops (dataset_statistics.json)"
    assert {"model", "source", "device", "dtype", "pruner", "action slice", "normalisation"} <= card.keys()


def test_identity(folder, tmp_path):
    before = identity(folder)
    assert load(folder).sha256 == before
    moved = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert identity(moved) == before
    change_tensors(moved / SHARD, lambda t: t[min(t)].view(-1)[0].add_(1))
    assert identity(moved) != before
    (folder / "README.md").write_text("a note")
    assert identity(folder) == before
    change_config(folder, lambda t: t.update(n_action_bins=255))
    assert identity(folder) != before


def test_identity_of_large_files_samples_them(folder, monkeypatch):
    monkeypatch.setattr(hashing, "HASHED_WHOLE", 10_000)
    monkeypatch.setattr(hashing, "HEAD", 100)
    monkeypatch.setattr(hashing, "SAMPLES", 3)
    before = identity(folder)
    path = folder / SHARD
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # the last byte is always among the samples
    assert identity(folder) != before
    path.write_bytes(content)
    assert identity(folder) == before


def described_tensors() -> dict[str, tuple[int, ...]]:
    """The tensors of the public 7B files, written out from their description."""
    shapes = {}

    def linear(name, outputs, inputs, bias=True):
        shapes[f"{name}.weight"] = (outputs, inputs)
        if bias:
            shapes[f"{name}.bias"] = (outputs,)

    def norm(name, width):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    def vit(name, width, depth, mlp, scaled):
        shapes[f"{name}.pos_embed"] = (1, 256, width)
        shapes[f"{name}.patch_embed.proj.weight"], shapes[f"{name}.patch_embed.proj.bias"] = (width, 3, 14, 14), (width,)
        for block in (f"{name}.blocks.{i}" for i in range(depth)):
            norm(f"{block}.norm1", width), norm(f"{block}.norm2", width)
            linear(f"{block}.attn.qkv", 3 * width, width), linear(f"{block}.attn.proj", width, width)
            linear(f"{block}.mlp.fc1", mlp, width), linear(f"{block}.mlp.fc2", width, mlp)
            if scaled:
                shapes[f"{block}.ls1.scale_factor"] = shapes[f"{block}.ls2.scale_factor"] = (width,)
        norm(f"{name}.norm", width)

    dino, siglip = "vision_backbone.featurizer", "vision_backbone.fused_featurizer"
    vit(dino, 1024, 24, 4096, scaled=True)
    shapes[f"{dino}.cls_token"], shapes[f"{dino}.reg_token"] = (1, 1, 1024), (1, 4, 1024)
    vit(siglip, 1152, 27, 4304, scaled=False)
    shapes[f"{siglip}.attn_pool.latent"] = (1, 1, 1152)
    linear(f"{siglip}.attn_pool.q", 1152, 1152), linear(f"{siglip}.attn_pool.kv", 2304, 1152)
    linear(f"{siglip}.attn_pool.proj", 1152, 1152), norm(f"{siglip}.attn_pool.norm", 1152)
    linear(f"{siglip}.attn_pool.mlp.fc1", 4304, 1152), linear(f"{siglip}.attn_pool.mlp.fc2", 1152, 4304)
    linear("projector.fc1", 8704, 2176), linear("projector.fc2", 4096, 8704), linear("projector.fc3", 4096, 4096)
    llama = "language_model.model"
    shapes[f"{llama}.embed_tokens.weight"] = (32064, 4096)
    for layer in (f"{llama}.layers.{i}" for i in range(32)):
        for part in "qkvo":
            linear(f"{layer}.self_attn.{part}_proj", 4096, 4096, bias=False)
        linear(f"{layer}.mlp.gate_proj", 11008, 4096, bias=False), linear(f"{layer}.mlp.up_proj", 11008, 4096, bias=False)
        linear(f"{layer}.mlp.down_proj", 4096, 11008, bias=False)
        shapes[f"{layer}.input_layernorm.weight"] = shapes[f"{layer}.post_attention_layernorm.weight"] = (4096,)
    shapes[f"{llama}.norm.weight"] = (4096,)
    linear("language_model.lm_head", 32064, 4096, bias=False)
    return shapes


def test_the_7b_has_the_public_tensors():
    from time import perf_counter

    started = perf_counter()
    with torch.device("meta"):
        model = VLA(VLAConfig())
    assert perf_counter() - started < 5
    found = {name: tuple(tensor.shape) for name, tensor in model.openvla.state_dict().items()}
    assert len(found) == 982 and sum(np.prod(shape, dtype=np.int64) for shape in found.values()) == 7_541_237_184
    assert found == described_tensors()
    assert sum(p.numel() for p in model.action_head.parameters()) == 151_117_831
    assert sum(p.numel() for p in model.proprio_projector.parameters()) == 16_818_176


def test_7b_memory_is_asked_for_before_loading(monkeypatch):
    from vla_bench.checkpoints.weights import check_memory

    with torch.device("meta"):
        model = VLA(VLAConfig())
    monkeypatch.setattr(environment, "available_memory", lambda: 16_000_000_000)
    check_memory(model, torch.device("cpu"), torch.bfloat16)
    with pytest.raises(ModelError, match="7,709,173,191 parameters in float32 need 31.4 GB, and cpu has 16.0 GB free"):
        check_memory(model, torch.device("cpu"), torch.float32)


def test_golden_checkpoint_gives_the_golden_answers(shared):
    folder = shared("fixtures/tiny_ckpt")
    dense, light = (
        load(folder, dtype=torch.float32),
        load(folder, dtype=torch.float32, pruner="lightvla", action_slice="reference"),
    )
    assert dense.kind == "openvla-oft" and list(dense.statistics) == ["libero_spatial_no_noops"]
    for case in "ab":
        expected = load_file(shared(f"fixtures/e2e_eval_{case}.safetensors"))
        prompt = expected["input_ids"][0].tolist()[1:]
        prompt += [] if prompt[-1] == dense.config.tokens.space else [dense.config.tokens.space]
        inputs = Inputs(expected["pixel_values"], (tuple(prompt),), expected["proprio_norm"].float()[None])
        assert (answer(dense.model, inputs)[0] - expected["dense.actions_normalized"]).abs().max() < 1e-5
        assert (answer(light.model, inputs)[0] - expected["light.actions_normalized"]).abs().max() < 1e-5


def test_golden_config_is_written_again_word_for_word(shared):
    """What we write for the golden model holds every public key with the public value."""
    theirs = json.loads((shared("fixtures/tiny_ckpt/config.json")).read_text())
    file = read_config_file(shared("fixtures/tiny_ckpt"))
    ours = to_table(file.config, file.norm_stats, TrainingOrigin(ModelFamily.OPENVLA_OFT, "none", "aligned"), "bfloat16")
    text = theirs.pop("text_config")
    theirs.pop("transformers_version")
    assert text.items() <= ours["text_config"].items()
    assert theirs == {key: ours[key] for key in theirs}


def test_golden_shards_are_rewritten_bit_for_bit(shared, tmp_path):
    loaded = load(shared("fixtures/tiny_ckpt"), dtype=torch.bfloat16)
    again = save(
        tmp_path / "again", loaded.model, statistics=loaded.statistics, normalisation=loaded.normalisation, kind=loaded.kind
    )
    theirs = {k: v for header in shards(shared("fixtures/tiny_ckpt")) for k, v in load_file(header.path).items()}
    ours = load_file(again / "model.safetensors")
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert read_header(again / "model.safetensors").shapes == {name: tuple(t.shape) for name, t in theirs.items()}
    assert load(again).normalisation == loaded.normalisation
