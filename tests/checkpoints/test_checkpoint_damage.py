"""Damaged and dangerous checkpoints, and machines too small for one: refused by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from vla_bench import environment
from vla_bench.checkpoints.files import read_header, shards
from vla_bench.checkpoints.weights import check_fit
from vla_bench.errors import CheckpointError, ModelError

from ..made_checkpoints import HEAD, PROPRIO, PUBLIC, SHARD, TINY, change_config, change_tensors, load, make, public, write


@pytest.fixture
def folder(tmp_path):
    return public(tmp_path / "oft")


def test_truncated_shards(folder):
    path = folder / SHARD
    content = path.read_bytes()
    for length in (0, 5, 8, 300, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=SHARD):
            load(folder)
        with pytest.raises(CheckpointError, match="cut off|damaged"):
            read_header(path)
    path.write_bytes(content + b"x")
    with pytest.raises(CheckpointError, match=f"has {len(content) + 1} bytes, and its header requires {len(content)}"):
        read_header(path)
    with pytest.raises(CheckpointError, match=f"{SHARD} is damaged"):
        load(folder)
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(CheckpointError, match=SHARD):
        load(folder)


def test_missing_shards_and_index(folder):
    (folder / SHARD).unlink()
    with pytest.raises(CheckpointError, match=f"lacks 1 of 4 weight files: {SHARD}"):
        load(folder)
    (folder / "model.safetensors.index.json").unlink()
    with pytest.raises(CheckpointError, match="has no weights"):
        load(folder)


def test_index_that_lies(folder):
    index = folder / "model.safetensors.index.json"
    table = json.loads(index.read_text())
    names = table["weight_map"]
    moved = next(name for name, shard in names.items() if shard == SHARD)
    index.write_text(json.dumps({"weight_map": names | {moved: "model-00001-of-00004.safetensors"}}))
    with pytest.raises(CheckpointError, match=f"disagree about 1 tensors, first {moved}"):
        load(folder)
    outside = folder.parent / "outside.safetensors"
    shutil.copy(folder / SHARD, outside)
    for name in ("../outside.safetensors", str(outside), "..\\outside.safetensors", "..", ""):
        index.write_text(json.dumps({"weight_map": {k: name if v == SHARD else v for k, v in names.items()}}))
        with pytest.raises(CheckpointError, match="not a safetensors file beside it"):
            load(folder)
    for text in ("[]", "{", '{"weight_map": []}', '{"weight_map": {"a": 1}}'):
        index.write_text(text)
        with pytest.raises(CheckpointError, match="index.json"):
            load(folder)


def rebuild(folder: Path, change) -> None:
    """The same checkpoint in one file, after `change` went over its tensors."""
    tensors = {k: v for header in shards(folder) for k, v in load_file(header.path).items()}
    change(tensors)
    for old in folder.glob("model*"):
        old.unlink()
    save_file(tensors, folder / "model.safetensors")


def test_missing_and_unexpected_tensors_are_listed_and_counted(folder):
    def change(tensors):
        for number in range(12):
            tensors[f"extra.{number:02d}"] = torch.zeros(1)
        del tensors["projector.fc2.bias"]
        tensors["projector.fc1.bias"] = torch.zeros(3)

    rebuild(folder, change)
    with pytest.raises(CheckpointError) as caught:
        load(folder)
    text = caught.value.message
    assert "1 missing: projector.fc2.bias" in text and "12 unexpected: extra.00, extra.01" in text
    assert "extra.09 ..." in text and "extra.10" not in text
    assert f"1 of another shape: projector.fc1.bias [3], not [{4 * PUBLIC.vision_width}]" in text


def test_another_size_of_the_family_is_refused_before_a_weight_is_read(folder, monkeypatch):
    change_config(folder, lambda t: t["text_config"].update(hidden_size=16, num_attention_heads=2))
    monkeypatch.setattr("vla_bench.checkpoints.weights.safe_open", lambda *_, **__: pytest.fail("read a shard"))
    with pytest.raises(CheckpointError, match="of another shape"):
        load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("file", [SHARD, HEAD, PROPRIO])
def test_weights_that_are_no_numbers(folder, file, value):
    names = []

    def change(tensors):
        names.append(max(tensors).removeprefix("module."))
        tensors[max(tensors)].view(-1)[-1] = value

    change_tensors(folder / file, change)
    with pytest.raises(CheckpointError, match="not finite") as caught:
        load(folder)
    assert names[0] in str(caught.value) and file in str(caught.value)


def test_too_large_for_the_dtype(folder):
    change_tensors(folder / SHARD, lambda t: t[max(t)].view(-1)[0].fill_(1e30))
    load(folder, dtype=torch.bfloat16)
    with pytest.raises(CheckpointError, match="not finite in float16"):
        load(folder, dtype=torch.float16)


def test_heads_must_be_there_once(folder):
    shutil.copy(folder / HEAD, folder / "action_head--50000_checkpoint.pt")
    with pytest.raises(CheckpointError, match="2 files of its action_head: action_head--40000.*, action_head--50000") as caught:
        load(folder)
    assert caught.value.fix.startswith("mv -n ")


def test_a_checkpoint_of_ours_without_its_head(tmp_path):
    folder = write(tmp_path / "x", make(TINY))
    (folder / HEAD).unlink()
    with pytest.raises(CheckpointError, match="has no action_head"):
        load(folder)


def test_damaged_heads(folder):
    head = folder / HEAD
    content = head.read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"not a file of torch"):
        head.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=HEAD):
            load(folder)
    torch.save([torch.zeros(1)], head)
    with pytest.raises(CheckpointError, match="other content than named tensors"):
        load(folder)
    head.write_bytes(content)
    change_tensors(head, lambda t: t.pop("module.model.fc2.bias"))
    with pytest.raises(CheckpointError, match="1 missing: model.fc2.bias"):
        load(folder)


class Evil:
    """What a pickle can do when it is loaded without restrictions."""

    def __reduce__(self):
        return (Path.touch, (Path("touched"),))


def test_no_code_runs_out_of_a_head(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    torch.save({"module.model.fc1.weight": Evil()}, folder / HEAD)
    with pytest.raises(CheckpointError, match=HEAD):
        load(folder)
    assert not (tmp_path / "touched").exists()


def test_damaged_json(folder):
    for name in ("config.json", "dataset_statistics.json", "preprocessor_config.json"):
        content = (folder / name).read_text()
        (folder / name).write_text(content[: len(content) // 2])
        with pytest.raises(CheckpointError, match=name):
            load(folder)
        (folder / name).write_text(content)


def test_not_enough_memory(folder, monkeypatch):
    needed = sum(p.numel() for p in load(folder).model.parameters()) * 4
    monkeypatch.setattr(environment, "available_memory", lambda: needed - 1)
    with pytest.raises(ModelError, match="free") as caught:
        load(folder)
    assert "float32" in str(caught.value) and "--model nano" in str(caught.value)
    load(folder, dtype=torch.bfloat16)  # half of it is enough
    monkeypatch.setattr(environment, "available_memory", lambda: None)
    load(folder)


def test_not_enough_memory_on_the_gpu(folder, monkeypatch):
    from vla_bench.checkpoints.weights import check_memory

    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (10_000, 80 << 30))
    with pytest.raises(ModelError, match="--device cpu"):
        check_memory(make(TINY), torch.device("cuda"), torch.bfloat16)


def test_check_fit_accepts_what_fits():
    check_fit({"a": (1, 2)}, {"a": (1, 2)}, "here")
