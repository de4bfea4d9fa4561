"""scripts/bundle_weights.py: a trained nano becomes a bundled one."""

from __future__ import annotations

import runpy
import shutil
import sys

import pytest
import torch

from vla_bench.checkpoints.checkpoint import load
from vla_bench.errors import CheckpointError
from vla_bench.training.finetune import train

from ..conftest import ROOT
from ..trainings import request


def test_a_trained_model_can_be_shipped_and_shipped_again(data, tmp_path, monkeypatch):
    train(request(data, tmp_path / "trained", "nano-lightvla", start="nano", steps=2))
    trained, card = load(tmp_path / "trained" / "checkpoint", device="cpu").model, tmp_path / "small" / "README.md"
    for data_said in ("two demonstrations", "two others"):
        asked = ["--recipe", "nano-lightvla", "--data", data_said, "--hardware", "a core", "--out", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", ["bundle_weights.py", str(tmp_path / "trained"), "small", *asked])
        runpy.run_path(str(ROOT / "scripts" / "bundle_weights.py"), run_name="__main__")
        assert f"| recipe | nano-lightvla |\n| data | {data_said} |" in card.read_text()
        assert "| training | 2 steps x 2, cosine, seed 3 |" in card.read_text()
    shipped = load(tmp_path / "small", device="cpu")
    assert shipped.model.pruner.name == "lightvla" and shipped.statistics
    for (name, before), after in zip(trained.state_dict().items(), shipped.model.state_dict().values(), strict=True):
        assert torch.equal(before.half().float(), after.float()), name
    shutil.rmtree(tmp_path / "trained" / "checkpoint")
    with pytest.raises(CheckpointError):
        runpy.run_path(str(ROOT / "scripts" / "bundle_weights.py"), run_name="__main__")
    assert card.exists()
