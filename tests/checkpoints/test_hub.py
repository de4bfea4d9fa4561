"""Finding a checkpoint: folders, the hub's cache, and a hub that does not answer."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from vla_bench.checkpoints.files import origin
from vla_bench.checkpoints.hub import local_folder
from vla_bench.errors import CheckpointError
from vla_bench.interface.action_slice import ActionSlice

from ..made_checkpoints import PUBLIC, SHARD, assert_equal, load, make, public


@pytest.fixture
def folder(tmp_path):
    return public(tmp_path / "oft")


def test_folders_that_are_no_checkpoints(tmp_path):
    for missing in ("nowhere", tmp_path / "nowhere", "a/b/c"):
        with pytest.raises(CheckpointError, match="neither a folder nor a hub id"):
            local_folder(str(missing))
    with pytest.raises(CheckpointError, match="no config.json"):
        local_folder(tmp_path)


def test_hub_without_connection(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match="nor in the hub's cache") as caught:
        load("TTJiang/LightVLA-libero-goal")
    assert "hf download TTJiang/LightVLA-libero-goal" in caught.value.fix


def test_hub_snapshot_is_read_without_connection(tmp_path, monkeypatch):
    """The cache's own layout, made by hand: links from a snapshot to blobs."""
    repository = tmp_path / "models--TTJiang--LightVLA-libero-goal"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("f" * 40)
    blobs = public(repository / "blobs")
    snapshot = repository / "snapshots" / ("f" * 40)
    snapshot.mkdir(parents=True)
    for blob in blobs.iterdir():
        (snapshot / blob.name).symlink_to(f"../../blobs/{blob.name}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    loaded = load("TTJiang/LightVLA-libero-goal", dtype=torch.float32)
    assert (loaded.kind, loaded.model.action_slice, loaded.folder) == ("lightvla", ActionSlice.REFERENCE, snapshot)
    assert_equal(loaded.model, make(PUBLIC))
    assert dict(loaded.card)["source"] == f"TTJiang/LightVLA-libero-goal ({snapshot})"
    (snapshot / SHARD).unlink()  # a download that was interrupted
    with pytest.raises(CheckpointError, match=SHARD) as caught:
        load("TTJiang/LightVLA-libero-goal")
    assert caught.value.fix == f"hf download TTJiang/LightVLA-libero-goal {SHARD} --force-download"


@pytest.mark.parametrize(
    ("name", "answered", "words", "fix"),
    [
        ("GatedRepoError", True, "accept its terms", "hf auth login"),
        ("RepositoryNotFoundError", True, "no model owner/model", "vla-bench models"),
        ("LocalEntryNotFoundError", False, "nor in the hub's cache", "hf download owner/model"),
        ("HfHubHTTPError", True, "cannot get owner/model", "hf download owner/model"),
        ("HFValidationError", False, "cannot get owner/model", "hf download owner/model"),
    ],
)
def test_hub_errors(monkeypatch, name, answered, words, fix):
    import huggingface_hub.errors

    kind = getattr(huggingface_hub.errors, name)

    # Of the hub's answer, such an error reads these two.
    answer = {"response": SimpleNamespace(headers={}, request=None)} if answered else {}

    def fail(*_, **__):
        raise kind("bad luck", **answer)

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(CheckpointError, match=words) as caught:
        local_folder("owner/model")
    assert fix in caught.value.fix


def test_only_the_files_of_a_checkpoint_are_fetched(monkeypatch, folder):
    from fnmatch import fnmatch

    options_used = {}
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda hub_id, **options: options_used.update(options) or str(folder)
    )
    assert local_folder("owner/model") == folder
    wanted = {p.name for p in folder.iterdir()} - {"generation_config.json"} | {"tokenizer.model", "added_tokens.json"}
    others = {
        "lora_adapter/adapter_model.safetensors",
        "training_state.pt",
        "README.md",
        "modeling_prismatic.py",
    }
    taken = {name for name in wanted | others if any(fnmatch(name, pattern) for pattern in options_used["allow_patterns"])}
    assert taken == wanted


def test_the_revision_that_was_taken_first_is_kept_and_recorded(monkeypatch, tmp_path, folder):
    """The repository gets a commit while the command runs."""
    asked = []

    def download(hub_id, revision=None, **_):
        asked.append(revision)
        place = tmp_path / "models--owner--moving" / "snapshots" / (revision or 40 * str(len(asked)))
        if not place.exists():
            shutil.copytree(folder, place)
        return str(place)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    first = local_folder("owner/moving")
    assert local_folder("owner/moving") == first and asked == [None, 40 * "1"]
    loaded = load("owner/moving", device="cpu")
    assert loaded.revision == f"owner/moving@{40 * '1'}" and ("revision", 40 * "1") in loaded.card
    assert load(folder, device="cpu").revision is None


def test_origin():
    assert origin(Path("/c/models--TTJiang--LightVLA-libero-10/snapshots/abc")) == "TTJiang/LightVLA-libero-10"
    assert origin(Path("/c/LightVLA-libero-10")) == "LightVLA-libero-10"
