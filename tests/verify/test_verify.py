"""`verify` tells a right model from a wrong one: it passes on golden tensors, and on nothing that was changed or broken."""

from __future__ import annotations

import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from vla_bench.checkpoints.saving import save
from vla_bench.errors import UsageError
from vla_bench.interface.config import LLMConfig, TokenIds
from vla_bench.model.images import Normalisation
from vla_bench.report.verdicts import print_report
from vla_bench.verify import checkpoint
from vla_bench.verify.compare import CheckStatus, family_of
from vla_bench.verify.run import GOLDEN, VerifyReport, verify

from ..conftest import ROOT


def misses(verdict: VerifyReport) -> list[tuple[str, str]]:
    return [(row.file, row.family) for row in verdict.rows if row.verdict is CheckStatus.MISS]


def bad(verdict: VerifyReport) -> list[tuple[str, str]]:
    return [(row.file, row.family) for row in verdict.rows if row.verdict is not CheckStatus.OK]


@pytest.fixture
def copy(tmp_path):
    """A copy of the bundled set: all of it, or the named files."""

    def make(*names: str) -> Path:
        folder = tmp_path / "fixtures"
        folder.mkdir()
        for path in [GOLDEN / name for name in names] or GOLDEN.iterdir():
            (shutil.copytree if path.is_dir() else shutil.copyfile)(path, folder / path.name)
        return folder

    return make


def change(path: Path, change) -> None:
    """Rewrite one file of tensors."""
    tensors = load_file(path) if path.suffix == ".safetensors" else dict(np.load(path))
    change(tensors)
    save_file(tensors, path) if path.suffix == ".safetensors" else np.savez(path, **tensors)


# The two sets


def test_the_shipped_set_passes_and_leaves_nothing_out(schema):
    verdict = verify()
    assert bad(verdict) == [] and verdict.exit_code == 0
    files = {row.file for row in verdict.rows}
    assert files == {path.name for path in GOLDEN.iterdir()}
    for path in GOLDEN.glob("*.safetensors"):
        reported = {row.family for row in verdict.rows if row.file == path.name}
        assert reported <= {family_of(name) for name in load_file(path)} and len(reported) > 15
    schema("verify", json.loads(json.dumps(verdict.to_dict(), allow_nan=False)))


def test_the_shipped_set_is_small():
    sizes = [path.stat().st_size for path in GOLDEN.rglob("*") if path.is_file()]
    assert sum(sizes) <= 400_000


def test_the_tensors_of_the_reference_pass(shared):
    verdict = verify(shared("fixtures"))
    assert misses(verdict) == []
    assert not [row for row in verdict.rows if row.verdict is CheckStatus.UNCHECKED]


def script():
    spec = importlib.util.spec_from_file_location("make_fixtures", ROOT / "scripts" / "make_fixtures.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("cameras", "chunk", "vocab"), [(1, 5, 32064), (3, 2, 32128)])
def test_another_set_in_the_public_layout(tmp_path, cameras, chunk, vocab):
    """Cameras and chunk stand nowhere in the public config; a longer vocabulary moves the decoder's bins, not the text."""
    make = script()
    config = replace(
        make.CONFIG,
        cameras=cameras,
        chunk=chunk,
        llm=LLMConfig(width=12, layers=2, heads=1, mlp=20, vocab=vocab),
        tokens=TokenIds(actions_end=vocab - 64),
    )
    g = torch.Generator().manual_seed(3)
    folder = tmp_path / checkpoint.NAME
    save(
        folder,
        make.random_model(config, g),
        statistics={"another": make.random_statistics(g)["libero_spatial_no_noops"]} | make.random_statistics(g),
        normalisation=Normalisation(),
        kind="openvla-oft",
    )
    table = json.loads((folder / "config.json").read_text())
    del table["vla_bench"]
    (folder / "config.json").write_text(json.dumps(table))
    tested = checkpoint.load_tested(folder)
    tested.statistics = tested.statistics[1:]  # the fixtures are made with the second
    assert tested.text_tokens.actions_end == 32000 and tested.model.config.tokens.actions_end == vocab - 64
    tested.fit(cameras, chunk)
    make.make_queries(tmp_path, tested, config)
    assert load_file(tmp_path / "e2e_eval_a.safetensors")["dense.actions"].shape == (chunk, 7)
    assert bad(verify(tmp_path)) == []


# Changed and broken files


def add(tensors: dict, name: str, amount: float) -> None:
    tensors[name].reshape(-1)[3] += amount


@pytest.mark.parametrize(
    ("file", "tensor", "amount"),
    [
        ("pruner_small.safetensors", "eval.score", 1e-2),
        ("pruner_small.safetensors", "eval.indices", 1),
        ("pruner_batch2.safetensors", "eval.sample1.position_ids_out", 1),
        ("pruner_batch2.safetensors", "train.grad_tokens", 1e-2),
        ("utils.npz", "tok.decoded", 1e-5),
        ("e2e_eval_a.safetensors", "light.position_ids", 1),
        ("e2e_eval_a.safetensors", "pixel_values", 1e-2),
        ("e2e_train.safetensors", "light.last_hidden_state", 1e-2),
        ("e2e_train.safetensors", "light.grad.projector.fc3.weight", 1e-2),
    ],
)
def test_one_changed_value_is_one_miss(copy, file, tensor, amount):
    folder = copy(file, *([checkpoint.NAME] if file.startswith("e2e") else []))
    change(folder / file, lambda tensors: add(tensors, tensor, amount))
    verdict = verify(folder)
    assert bad(verdict) == [(file, family_of(tensor))] and verdict.exit_code == 1
    (row,) = (row for row in verdict.rows if row.reason)
    assert tensor in row.reason and row.max_error > row.tolerance


@pytest.mark.parametrize("tensor", ["eval.mask", "train_nonoise.soft"])
def test_a_missing_tensor_is_one_miss(copy, tensor):
    folder = copy("pruner_small.safetensors")
    change(folder / "pruner_small.safetensors", lambda tensors: tensors.pop(tensor))
    assert bad(verify(folder)) == [("pruner_small.safetensors", tensor)]


def test_a_gradient_missing_of_one_model_is_a_miss(copy):
    folder = copy("e2e_train.safetensors", checkpoint.NAME)
    change(folder / "e2e_train.safetensors", lambda t: t.pop("dense.grad.projector.fc3.weight"))
    assert bad(verify(folder)) == [("e2e_train.safetensors", "dense.grad")]


def test_without_an_input_the_rest_is_not_checked(copy):
    folder = copy("pruner_small.safetensors")
    change(folder / "pruner_small.safetensors", lambda tensors: tensors.pop("noise"))
    verdict = verify(folder)
    assert misses(verdict) == [("pruner_small.safetensors", "noise")]
    assert {row.verdict for row in verdict.rows} == {CheckStatus.MISS, CheckStatus.UNCHECKED}


def test_a_tensor_that_no_check_knows_is_listed(copy):
    folder = copy("pruner_small.safetensors")
    change(folder / "pruner_small.safetensors", lambda tensors: tensors.update({"eval.mood": torch.zeros(2)}))
    verdict = verify(folder)
    assert bad(verdict) == [("pruner_small.safetensors", "eval.mood")] and verdict.exit_code == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_a_miss(copy, schema, value):
    folder = copy("utils.npz")
    change(folder / "utils.npz", lambda tensors: add(tensors, "quat.axisangle", value))
    verdict = verify(folder)
    assert bad(verdict) == [("utils.npz", "quat.axisangle")]
    schema("verify", json.loads(json.dumps(verdict.to_dict(), allow_nan=False)))


def test_another_shape_is_a_miss(copy):
    folder = copy("utils.npz")
    change(folder / "utils.npz", lambda tensors: tensors.update({"noop.kept": tensors["noop.kept"][:-1]}))
    assert bad(verify(folder)) == [("utils.npz", "noop.kept")]


@pytest.mark.parametrize("name", ["pruner_small.safetensors", "utils.npz", "image_pipeline.npz"])
@pytest.mark.parametrize("left", [0, 7, 1000])
def test_a_truncated_file_is_one_miss(copy, name, left):
    folder = copy("pruner_small.safetensors", "utils.npz", "image_pipeline.npz")
    (folder / name).write_bytes((folder / name).read_bytes()[:left])
    verdict = verify(folder)
    assert bad(verdict) == [(name, "file")] and verdict.exit_code == 1


def test_pickled_arrays_are_not_read(copy, tmp_path):
    folder = copy("utils.npz")
    np.savez(folder / "utils.npz", **{"tok.actions": np.array([{}], dtype=object)}, allow_pickle=True)
    assert bad(verify(folder)) == [("utils.npz", "file")]


@pytest.mark.parametrize("damage", ["missing", "truncated", "config"])
def test_without_its_checkpoint_nothing_end_to_end_is_checked(copy, damage):
    folder = copy()
    tiny = folder / checkpoint.NAME
    if damage == "missing":
        shutil.rmtree(tiny)
    elif damage == "truncated":
        weights = tiny / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1000])
    else:
        (tiny / "config.json").write_text("{")
    verdict = verify(folder)
    assert misses(verdict) == [(checkpoint.NAME, "file")]
    unchecked = {row.file for row in verdict.rows if row.verdict is CheckStatus.UNCHECKED}
    assert unchecked == {path.name for path in folder.glob("e2e_*")}


def test_ids_outside_the_vocabulary_are_a_miss(copy):
    folder = copy("e2e_eval_a.safetensors", checkpoint.NAME)
    change(folder / "e2e_eval_a.safetensors", lambda tensors: add(tensors, "input_ids", 10**6))
    assert ("e2e_eval_a.safetensors", "file") in misses(verify(folder))


def test_files_of_other_kinds_are_listed_and_count_neither_way(copy):
    folder = copy("utils.npz")
    np.savez(folder / "baselines_toad.npz", a=np.zeros(2))
    verdict = verify(folder)
    assert bad(verdict) == [("baselines_toad.npz", "file")] and verdict.exit_code == 0
    assert verdict.rows[-1].reason == "no checker for baselines_*"


@pytest.mark.parametrize("content", [None, [], ["README.md"], ["baselines_toad.npz"]])
def test_nothing_to_check_is_an_error(tmp_path, content):
    folder = tmp_path / "fixtures"
    if content is not None:
        folder.mkdir()
        for name in content:
            (folder / name).write_bytes(b"")
    with pytest.raises(UsageError, match="fixtures"):
        verify(folder)


# What is printed


def test_the_table_names_families_errors_and_reasons(copy, capsys):
    folder = copy("utils.npz")
    change(folder / "utils.npz", lambda tensors: add(tensors, "tok.ids", 1))
    np.savez(folder / "baselines_a.npz", a=np.zeros(2))
    np.savez(folder / "baselines_b.npz", a=np.zeros(2))
    print_report(verify(folder))
    printed = capsys.readouterr().out
    assert "utils.npz" in printed and "quat.axisangle" in printed and "MISS: utils.npz: tok.ids at [0, 3]" in printed
    assert "not checked: 2 files: no checker for baselines_*" in printed
    assert printed.rstrip().endswith("6 ok, 1 MISS, 2 not checked")


def test_the_command_exits_with_the_verdict(cli, copy, schema):
    folder = copy("utils.npz")
    assert cli("verify", "--fixtures", str(folder)).exit_code == 0
    change(folder / "utils.npz", lambda tensors: add(tensors, "tok.ids", 1))
    result = cli("verify", "--fixtures", str(folder), "--format", "json")
    assert result.exit_code == 1
    printed = json.loads(result.stdout)
    schema("verify", printed)
    assert printed["fixtures"] == str(folder) and not printed["passed"]
    assert [row["family"] for row in printed["rows"] if row["verdict"] == "MISS"] == ["tok.ids"]
    assert cli("verify", "--fixtures", str(folder / "none")).exit_code == 2
