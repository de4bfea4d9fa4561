"""Sizes, headers and pickles of other people's checkpoints are bounded before anything is built."""

import shutil
import time

import pytest
import torch

from vla_bench.errors import CheckpointError

from ..made_checkpoints import HEAD, TINY, change_config, change_tensors, load, make, write


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return write(tmp_path_factory.mktemp("hostile") / "checkpoint", make(TINY))


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "checkpoint")


@pytest.mark.parametrize(
    ("block", "key", "value"),
    [
        ("text_config", "num_hidden_layers", 100_000),
        ("text_config", "num_hidden_layers", 2**62),
        ("text_config", "hidden_size", 2**40),
        ("text_config", "rms_norm_eps", 0.0),
        ("text_config", "rms_norm_eps", float("nan")),
        ("text_config", "vocab_size", -5),
        ("vla_bench", "chunk", 10**9),
        ("vla_bench", "cameras", 10**6),
        ("vla_bench", "proprio_dim", 2**31),
    ],
)
def test_sizes_that_no_model_has_are_refused_at_once(folder, block, key, value):
    change_config(folder, lambda table: table[block].update({key: value}))
    began = time.monotonic()
    with pytest.raises(CheckpointError, match="config.json"):
        load(folder)
    assert time.monotonic() - began < 2


def test_a_template_without_a_place_for_the_instruction(folder):
    change_config(folder, lambda table: table["vla_bench"]["tokens"].update(template="do something"))
    with pytest.raises(CheckpointError, match="has no {instruction}"):
        load(folder)


def test_json_nested_without_end(folder):
    (folder / "config.json").write_text('{"a":' * 100_000)
    with pytest.raises(CheckpointError, match="is not JSON"):
        load(folder)


def test_a_tensor_under_two_names(folder):
    def twice(tensors):
        name = next(iter(tensors))
        tensors[name.removeprefix("module.")] = tensors[name] + 1

    change_tensors(folder / HEAD, twice)
    with pytest.raises(CheckpointError, match="twice, as"):
        load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensor: tensor.to_sparse(),
        lambda tensor: tensor.to(torch.complex64),
        lambda tensor: torch.zeros_like(tensor, dtype=torch.int8),
        lambda tensor: tensor.to("meta"),
        lambda tensor: torch.quantize_per_tensor(tensor.float(), 0.1, 0, torch.qint8),
    ],
    ids=("sparse", "complex", "integers", "meta", "quantised"),
)
def test_tensors_of_other_kinds(folder, change):
    def other(tensors):
        name = next(iter(tensors))
        tensors[name] = change(tensors[name])

    change_tensors(folder / HEAD, other)
    with pytest.raises(CheckpointError):
        load(folder)


def test_a_header_that_lies(folder):
    (file,) = folder.glob("*.safetensors")
    header = b'{"x": {"dtype": "F32", "shape": [' + b"9" * 18 + b'], "data_offsets": [0, ' + b"9" * 18 + b"]}}"
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(CheckpointError, match="is not a safetensors file|is damaged"):
        load(folder)
