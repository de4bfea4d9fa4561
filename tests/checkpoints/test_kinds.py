"""What people really have: folders before merging, other formats, parts that cannot be read, and files that are there twice."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from vla_bench.checkpoints.hub import local_folder
from vla_bench.checkpoints.parts import ACTION_HEAD, part_file
from vla_bench.errors import CheckpointError
from vla_bench.policies.resolve import resolve_model

from ..made_checkpoints import HEAD, PUBLIC, assert_equal, change_config, load, make, public, write

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


@pytest.fixture
def folder(tmp_path):
    return public(tmp_path / "oft")


def refused(place) -> CheckpointError:
    with pytest.raises(CheckpointError) as caught:
        load(place)
    return caught.value


def before_merging(folder, base="openvla/openvla-7b"):
    """As OpenVLA-OFT's training leaves a folder where it does not merge: heads, statistics and `lora_adapter/`."""
    for path in [*folder.glob("model*"), folder / "config.json"]:
        path.unlink()
    (folder / "lora_adapter").mkdir()
    (folder / "lora_adapter" / "adapter_model.safetensors").write_bytes(b"\0" * 8)
    names = {} if base is None else {"base_model_name_or_path": base}
    (folder / "lora_adapter" / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 32} | names))
    return folder


def test_a_folder_before_merging_says_whose_adapter_it_holds(folder):
    before_merging(folder)
    for place in (folder, folder / "lora_adapter"):
        error = refused(place)
        assert f"{place} holds a LoRA adapter of openvla/openvla-7b, not merged" in error.message
        assert error.fix == f"vla-bench eval --adapter {place}"


def test_an_adapter_that_does_not_name_its_base(folder):
    error = refused(before_merging(folder, base=None))
    assert "does not name" in error.message and error.fix == f"vla-bench eval --model BASE --adapter {folder}"


def test_an_adapter_beside_merged_weights_changes_nothing(folder):
    (folder / "lora_adapter").mkdir()
    (folder / "lora_adapter" / "adapter_config.json").write_text("{}")
    assert_equal(load(folder, dtype=torch.float32).model, make(PUBLIC))


@pytest.mark.parametrize(
    "place", ["checkpoints/latest-checkpoint.pt", "checkpoints/step-001-epoch-2-loss=0.1.pt", "latest-checkpoint.pt"]
)
def test_a_run_of_openvlas_own_training_is_converted_by_its_script(tmp_path, place):
    run = tmp_path / "run"
    (run / place).parent.mkdir(parents=True)
    (run / place).write_bytes(b"")
    (run / "config.json").write_text('{"model": {}}')
    for given in (run, run / place):
        error = refused(given)
        assert place in error.message and "Prismatic" in error.message
        assert f"convert_openvla_weights_to_hf.py --openvla_model_path_or_id {run} " in error.fix
    assert resolve_model(str(run / place)).place == str(run / place)  # a file gets as far as that


def test_pickled_weights_are_converted_by_the_command_in_the_message(folder):
    expected = {k: v for path in folder.glob("model-*") for k, v in load_file(path).items()}
    for path in list(folder.glob("model*")):
        path.unlink()
    names = sorted(expected)
    for number, part in enumerate((names[::2], names[1::2]), 1):
        torch.save({name: expected[name] for name in part}, folder / f"pytorch_model-{number:05d}-of-00002.bin")
    error = refused(folder)
    assert "pytorch_model-00001-of-00002.bin, pytorch_model-00002-of-00002.bin" in error.message and "pickles" in error.message
    command = shlex.split(error.fix)
    subprocess.run([sys.executable, *command[1:]], check=True)
    assert command[0] == "python" and load_file(folder / SINGLE).keys() == expected.keys()
    assert_equal(load(folder, dtype=torch.float32).model, make(PUBLIC))


def test_a_file_that_is_no_checkpoint(folder):
    error = refused(folder / "config.json")
    assert "is a file" in error.message and error.fix == f"vla-bench eval --model {folder}"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("vision_backbone--150000_checkpoint.pt", "FiLM"),
        ("vision_backbone--latest_checkpoint.pt", "FiLM"),
        ("noisy_action_projector--100_checkpoint.pt", "diffusion"),
        ("language_head--100_checkpoint.safetensors", "does not have"),
        ("action_head--100_checkpoint.pth", "of type .pth"),
    ],
)
def test_a_part_that_cannot_be_read_is_never_passed_over(folder, name, what):
    shutil.copy(folder / HEAD, folder / name)
    error = refused(folder)
    assert name in error.message and what in error.message and "again" not in error.fix


def test_a_diffusion_head_is_no_damaged_l1_head(folder):
    torch.save({"module.noise_predictor.mlp_resnet.fc1.weight": torch.zeros(2, 2)}, folder / HEAD)
    error = refused(folder)
    assert f"{folder / HEAD} is a diffusion head" in error.message and "again" not in error.fix


def test_a_head_of_another_model_is_no_damage(folder):
    shutil.copy(write(folder.parent / "wide", make(PUBLIC), ours=True) / "proprio_projector--40000_checkpoint.pt", folder / HEAD)
    assert "are not this model's" in refused(folder).message and refused(folder).fix == "vla-bench models"


def test_parts_of_the_latest_step_are_found(folder):
    (folder / HEAD).rename(folder / "action_head--latest_checkpoint.pt")
    assert part_file(folder, ACTION_HEAD).name == "action_head--latest_checkpoint.pt"
    assert_equal(load(folder, dtype=torch.float32).model, make(PUBLIC))


def test_two_sets_of_weights_are_refused_with_both_names(folder, tmp_path):
    """The index and its shards of an earlier save, and a newer single file: readers differ in which they take."""
    newer = write(tmp_path / "newer", make(PUBLIC, seed=1), ours=False)
    shutil.copy(newer / SINGLE, folder)
    error = refused(folder)
    assert INDEX in error.message and SINGLE in error.message.replace(INDEX, "") and "again" not in error.fix
    (folder / INDEX).unlink()
    assert "model-00001-of-00004.safetensors and 3 more" in refused(folder).message  # shards without an index, too
    for shard in folder.glob("model-*"):
        shard.unlink()
    assert_equal(load(folder, dtype=torch.float32).model.openvla, make(PUBLIC, seed=1).openvla)


def test_shards_of_another_split_are_a_second_set(folder):
    shutil.copy(folder / "model-00001-of-00004.safetensors", folder / "model-00001-of-00003.safetensors")
    assert "two sets of weights" in refused(folder).message


def test_an_index_of_the_single_file_is_one_set(tmp_path):
    folder = write(tmp_path / "one", make(PUBLIC), ours=False)
    names = load_file(folder / SINGLE)
    (folder / INDEX).write_text(json.dumps({"weight_map": dict.fromkeys(names, SINGLE)}))
    load(folder)


@pytest.mark.parametrize(
    ("first", "second"),
    [("dataset_statistics.json", "dataset_statistics_old.json"), ("tokenizer.json", "tokenizer (1).json")],
)
def test_two_of_what_there_is_one_of(folder, first, second):
    for name in (first, second):
        (folder / name).write_text("{}")
    error = refused(folder)
    assert first in error.message and second in error.message
    assert shlex.split(error.fix)[:3] == ["mv", "-n", str(folder / second)]
    (folder / second).unlink()
    (folder / "tokenizer_config.json").write_text("{}")  # belongs to the one tokenizer
    local_folder(folder)


def test_statistics_of_the_file_win_and_the_card_says_so(folder):
    """As in the reference, whose config.json keeps what the start of the fine-tuning was trained on."""
    own = json.loads((folder / "dataset_statistics.json").read_text())
    change_config(folder, lambda t: t.update(norm_stats={"libero_goal_no_noops": {"action": {}}, "bridge_orig": {}}))
    loaded = load(folder)
    assert loaded.statistics == own
    assert "norm_stats of config.json has other numbers for libero_goal_no_noops)" in dict(loaded.card)["statistics"]


def test_a_byte_order_mark_is_no_damage(folder):
    for name in ("config.json", "dataset_statistics.json", "preprocessor_config.json", INDEX):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    assert_equal(load(folder, dtype=torch.float32).model, make(PUBLIC))
