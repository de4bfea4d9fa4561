"""Starting points of a training: bundled, trained, public or adapted weights, and trainable pruners."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
import torch

from vla_bench.checkpoints.checkpoint import load, save
from vla_bench.checkpoints.files import TOKENIZER_FILES
from vla_bench.errors import UsageError
from vla_bench.pruners.names import BUILT_IN
from vla_bench.training import finetune
from vla_bench.training.finetune import train
from vla_bench.training.recipe import RECIPES, recipe
from vla_bench.training.schedule import LearningRate

from ..trainings import request, weights


def test_the_recipe_of_nano_lightvla_starts_from_the_bundled_nano_oft():
    start = finetune.load_start(RECIPES["nano-lightvla"], torch.device("cpu"))
    assert start.tokenizer_file.parent.name == "nano-oft" and start.sha256 and start.model.pruner.name == "lightvla"


def test_a_training_begins_where_another_ended(data, tmp_path):
    """With its auxiliary head and momenta, but at its own rates; with other weights to train, with the checkpoint alone."""
    first, second = tmp_path / "first", tmp_path / "second"
    train(request(data, first, steps=2))
    again = request(data, second, start=str(first), steps=1, learning_rate=2e-4, rate_schedule=LearningRate.STEP)
    seen = []
    train(again, lambda *row: seen.append(row[2]))
    before, after = (torch.load(folder / "state.pt", weights_only=True) for folder in (first, second))
    moves = [(after["weights"][name] - weight).abs().max() for name, weight in before["weights"].items()]
    assert seen[0]["rate"] == 2e-4 and max(moves) < 0.05 and "where.answer.1.weight" in before["weights"]
    adam = [state["optimisers"][0]["state"][0]["step"].item() for state in (before, after)]
    assert adam == [2, 3]
    pruned = train(request(data, tmp_path / "pruned", "nano-lightvla", start=str(first), steps=1))
    assert load(pruned.checkpoint, device="cpu").model.pruner.name == "lightvla"
    shutil.rmtree(first / "checkpoint")
    with pytest.raises(UsageError, match="has not finished"):
        train(replace(again, out=tmp_path / "third"))


def test_lora_trains_adapters_and_heads_and_is_merged(data, dense, tmp_path):
    options = {"start": str(dense), "lora_rank": 4, "fresh_heads": True, "steps": 2, "pruner": "lightvla"}
    adapted = train(request(data, tmp_path / "adapted", **options)).checkpoint
    before, after = weights(dense.parent), weights(adapted.parent)
    changed = {name.split(":")[1] for name in before if name in after and not torch.equal(before[name], after[name])}
    assert "language_model.model.layers.0.self_attn.q_proj.weight" in changed
    assert "vision_backbone.featurizer.patch_embed.proj.weight" in changed
    assert not any("layernorm" in name or "embed_tokens" in name or "pos_embed" in name for name in changed)
    state = torch.load(tmp_path / "adapted" / "state.pt", weights_only=True)["weights"]
    assert all(any(part in name for part in ("lora_", "action_head", "proprio_projector", "where.")) for name in state)


def test_what_was_trained_of_a_public_checkpoint_has_its_layout(data, dense, tmp_path):
    """Heads in .pt files and every file of the tokenizer; after LoRA so, too; a nano's stay as they are."""
    loaded, public = load(dense, device="cpu"), tmp_path / "public"
    about = {"statistics": loaded.statistics, "normalisation": loaded.normalisation, "kind": loaded.kind}
    save(public, loaded.model, **about, tokenizer_file=loaded.tokenizer_file, heads="pt")
    others = TOKENIZER_FILES[1:]
    for name in others:
        (public / name).write_text(f"of {name}")
    for start, rank, heads in ((dense, 0, "safetensors"), (dense, 4, "pt"), (public, 0, "pt"), (public, 4, "pt")):
        done = train(request(data, tmp_path / f"{start.name}-{rank}", start=str(start), lora_rank=rank, steps=1)).checkpoint
        parts = [done / f"{part}--1_checkpoint.{heads}" for part in ("action_head", "proprio_projector")]
        assert sorted(done.glob("*checkpoint*")) == parts
        if heads == "pt":
            assert all(name.startswith("module.") for part in parts for name in torch.load(part, weights_only=True))
        found = {path.name: path.read_text() for path in done.iterdir() if path.name in others}
        assert found == ({name: f"of {name}" for name in others} if start == public else {})
        assert load(done, device="cpu").tokenizer_file.read_bytes() == loaded.tokenizer_file.read_bytes()


@pytest.mark.parametrize("pruner", ["fastv", "random", "plus-random(lightvla)"])
def test_a_pruner_that_learns_nothing_is_refused(data, tmp_path, pruner):
    with pytest.raises(UsageError, match="learns nothing.*none, lightvla, lightvla-star-vision"):
        train(request(data, tmp_path, pruner=pruner))


@pytest.mark.parametrize("pruner", ["none", "lightvla", "lightvla-star-llm2", "with-parameters"])
def test_a_pruner_that_learns_is_not(monkeypatch, pruner):
    monkeypatch.setitem(BUILT_IN, "with-parameters", "tests.made_checkpoints:TopK")
    start = finetune.load_start(recipe("nano-oft").with_options(pruner=pruner), torch.device("cpu"))
    assert start.model.pruner is None or start.model.pruner.learns
