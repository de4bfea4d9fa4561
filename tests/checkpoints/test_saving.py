"""Checkpoints written and read back, bit for bit and in one step."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from vla_bench.checkpoints import saving
from vla_bench.checkpoints.config_file import ModelFamily, read_config_file
from vla_bench.errors import CheckpointError, ModelError
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.model.images import Normalisation
from vla_bench.pruners.lightvla import LightVLA

from ..made_checkpoints import (
    HEAD,
    ODD,
    PUBLIC,
    STATISTICS,
    TINY,
    TopK,
    answer,
    assert_equal,
    cast,
    load,
    make,
    public,
    query,
    write,
)


@pytest.fixture
def folder(tmp_path):
    return public(tmp_path / "oft")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("heads", ["pt", "safetensors"])
@pytest.mark.parametrize("pruner", [None, LightVLA, TopK])
def test_round_trip_bit_for_bit(tmp_path, dtype, heads, pruner):
    model = cast(make(TINY, pruner() if pruner else None), dtype)
    model.action_slice = ActionSlice.REFERENCE
    own = model.pruner.name if pruner else "none"
    folder = write(tmp_path / "x", model, kind="lightvla", heads=heads, max_shard_size="40KB")
    loaded = load(folder, dtype=dtype, pruner=TopK() if pruner is TopK else "default")
    assert_equal(loaded.model, model)
    inputs = query(TINY)
    inputs = replace(inputs, pixel_values=inputs.pixel_values.to(dtype), proprio=inputs.proprio.to(dtype))
    assert torch.equal(answer(loaded.model, inputs), answer(model, inputs))
    assert (loaded.config, loaded.kind, loaded.statistics) == (TINY, ModelFamily.LIGHTVLA, STATISTICS)
    assert (loaded.normalisation, loaded.tokenizer_file) == (Normalisation(), None)
    assert loaded.model.action_slice is ActionSlice.REFERENCE and not loaded.model.training
    assert (loaded.model.pruner.name if loaded.model.pruner else "none") == own
    parts = {f"{part}--40000_checkpoint.{heads}" for part in ("action_head", "proprio_projector")}
    parts |= {"pruner--40000_checkpoint.safetensors"} if pruner is TopK else set()
    assert {p.name for p in folder.glob("*checkpoint*")} == parts
    assert read_config_file(folder).origin.pruner == own


@pytest.mark.parametrize("config", [ODD, replace(TINY, proprio_dim=0), replace(TINY, cameras=3)], ids=["odd", "blind", "three"])
def test_round_trip_of_other_models(tmp_path, config):
    model = make(config)
    assert_equal(load(write(tmp_path / "x", model, kind="openvla"), dtype=torch.float32).model, model)


def test_four_shards_as_the_public_7b(folder):
    model = make(PUBLIC)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    names = [f"model-0000{i}-of-00004.safetensors" for i in range(1, 5)]
    assert sorted(set(index["weight_map"].values())) == names == [p.name for p in sorted(folder.glob("model-*"))]
    assert index["weight_map"].keys() == model.openvla.state_dict().keys()
    assert index["metadata"]["total_size"] == sum(4 * v.numel() for v in model.openvla.state_dict().values())
    for name in names:
        with safe_open(folder / name, "pt") as file:
            assert file.metadata() == {"format": "pt"}
            assert set(file.keys()) == {key for key, shard in index["weight_map"].items() if shard == name}
    heads = torch.load(folder / HEAD, weights_only=True)
    assert heads.keys() == {f"module.{name}" for name in model.action_head.state_dict()}
    loaded = load(folder, dtype=torch.float32)
    assert_equal(loaded.model, model)
    assert loaded.config == replace(PUBLIC, name="oft")


def test_saved_in_another_dtype(tmp_path):
    model = make(TINY)
    folder = write(tmp_path / "x", model, dtype=torch.bfloat16)
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == "bfloat16"
    for tensors in (load_file(folder / "model.safetensors"), torch.load(folder / HEAD, weights_only=True)):
        assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert_equal(load(folder, dtype=torch.float32).model, model.to(torch.bfloat16).to(torch.float32))


def test_heads_end_in_the_dtype_of_the_model(folder):
    """The public proprio projector is float32 beside a bfloat16 model."""
    model = load(folder, dtype=torch.bfloat16).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.openvla.language_model.model.rotary_emb.inv_freq.dtype == torch.float32


def test_nothing_is_left_on_the_meta_device_and_gradients_flow(folder):
    model = load(folder).model
    assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
    assert all(parameter.requires_grad for parameter in model.parameters())
    model(query(PUBLIC)).actions.sum().backward()
    assert model.openvla.projector.fc1.weight.grad.abs().sum() > 0


def test_rotary_frequencies_are_those_of_a_model_with_memory(folder):
    found = load(folder).model.openvla.language_model.model.rotary_emb
    made = make(PUBLIC).openvla.language_model.model.rotary_emb
    assert torch.equal(found.inv_freq, made.inv_freq) and torch.equal(found.original_inv_freq, made.original_inv_freq)


def test_a_loaded_model_does_not_hang_on_its_files(folder):
    model = load(folder, dtype=torch.float32).model
    for path in folder.iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    assert_equal(model, make(PUBLIC))


def test_saving_replaces_a_checkpoint_and_nothing_else(tmp_path):
    first, second = make(TINY), make(TINY, seed=1)
    folder = write(tmp_path / "x", first, max_shard_size="40KB")
    write(folder, second, step=7)
    assert_equal(load(folder, dtype=torch.float32).model, second)
    assert [p.name for p in tmp_path.iterdir()] == ["x"] and not (folder / HEAD).exists()
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "photo.jpg").touch()
    with pytest.raises(CheckpointError, match="is no checkpoint"):
        write(tmp_path / "holiday", first)
    assert (tmp_path / "holiday" / "photo.jpg").exists()
    (folder / "notes.txt").write_text("what I saw")
    with pytest.raises(CheckpointError, match="it has notes.txt"):
        write(folder, first)
    assert (folder / "notes.txt").exists()


def test_a_crash_leaves_the_earlier_checkpoint(tmp_path, monkeypatch):
    model = make(TINY)
    folder = write(tmp_path / "x", model)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving.shutil, "copyfile", full)
    with pytest.raises(CheckpointError, match="No space left"):
        write(folder, make(TINY, seed=1), tokenizer_file=tmp_path / "tokenizer.json")
    assert_equal(load(folder, dtype=torch.float32).model, model)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_checkpoint_that_cannot_take_its_place_leaves_the_earlier_one(tmp_path, monkeypatch):
    model = make(TINY)
    folder = write(tmp_path / "x", model)
    rename = saving.os.rename

    def refuse(source, target):
        if target == folder and "before" not in source.name:
            raise OSError(13, "Permission denied")
        rename(source, target)

    monkeypatch.setattr(saving.os, "rename", refuse)
    with pytest.raises(CheckpointError, match="Permission denied"):
        write(folder, make(TINY, seed=1))
    assert_equal(load(folder, dtype=torch.float32).model, model)
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_what_could_not_be_loaded_again_is_not_saved(tmp_path):
    with pytest.raises(CheckpointError, match="without action statistics"):
        write(tmp_path / "x", make(TINY), statistics={})
    with pytest.raises(ModelError, match="onnx"):
        write(tmp_path / "x", make(TINY), heads="onnx")
    assert not any(tmp_path.iterdir())
