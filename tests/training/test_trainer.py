"""The training loop: the loss falls, two processes and micro-batches are one step, out of memory is reported."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from vla_bench.checkpoints.checkpoint import load
from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.presets import NANO
from vla_bench.model.initialise import random_vla
from vla_bench.pruners.registry import make_pruner
from vla_bench.training.finetune import train
from vla_bench.training.step import Loss

from .. import nanos
from ..trainings import request, weights


def test_training_lowers_the_loss_and_leaves_a_checkpoint_that_loads(data, tmp_path, plot):
    seen = []
    done = train(request(data, tmp_path, steps=12, batch=4, pruner="lightvla"), lambda *row: seen.append(row[2]))
    first, last = (np.mean([row["action"] for row in part]) for part in (seen[:5], seen[-5:]))
    assert last < 0.9 * first and all(1 <= row["kept"] <= 128 for row in seen)
    loaded = load(done.checkpoint, device="cpu")
    assert loaded.kind.value == "lightvla" and loaded.model.pruner.name == "lightvla"
    assert "libero_object_no_noops" in loaded.statistics and loaded.tokenizer_file is not None
    assert (tmp_path / "training.png").stat().st_size > 10_000 and len(done.log.read_text().splitlines()) == 13


def test_two_processes_train_as_one(data, tmp_path):
    """Half a batch each gives the same gradients and means, to rounding, and so the same weights; images are prepared once."""
    train(request(data, tmp_path / "one", steps=2, batch=4, pruner="lightvla"))
    bare = shutil.copytree(data / "libero_object", tmp_path / "demos" / "libero_object").parent
    arguments = f"train --recipe nano-oft --pruner lightvla --data {bare} --out {tmp_path / 'two'} --steps 2 --batch 4 --seed 3"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "vla_bench"]
    done = subprocess.run([*launch, *arguments.split(), "--device", "cpu"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, two = ((tmp_path / name / "log.csv").read_text().splitlines() for name in ("one", "two"))
    names = one[0].split(",")
    for left, right in zip(one[1:], two[1:], strict=True):
        for name, a, b in zip(names, left.split(","), right.split(","), strict=True):
            if name != "samples_per_s":
                assert float(a) == pytest.approx(float(b), rel=2e-4), name
    left, right = weights(tmp_path / "one"), weights(tmp_path / "two")
    assert left.keys() == right.keys()
    for name in left:
        torch.testing.assert_close(right[name], left[name], atol=1e-6, rtol=0, msg=lambda text, name=name: f"{name}: {text}")


def test_micro_batches_add_up_to_the_batch(data, tmp_path):
    runs = []
    for accumulate in (1, 2):
        seen: list[dict[str, float]] = []
        options = {"steps": 2, "batch": 4, "pruner": "lightvla", "accumulate": accumulate}
        train(request(data, tmp_path / str(accumulate), **options), lambda *row, seen=seen: seen.append(row[2]))
        runs.append(seen)
    for whole, parts in zip(*runs, strict=True):
        for name in ("loss", "action", "gripper", "kept", "where", "gradient", "rate"):
            assert parts[name] == pytest.approx(whole[name], rel=2e-4), name


@pytest.mark.parametrize(
    ("accumulate", "complaint"), [(1, "micro-batches of 4\n.*--accumulate 2"), (4, "micro-batches of 1\n.*--device cpu")]
)
def test_a_step_without_enough_memory_says_what_would_do(data, tmp_path, monkeypatch, accumulate, complaint):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(Loss, "forward", full)
    with pytest.raises(ModelError, match=complaint):
        train(request(data, tmp_path, batch=4, accumulate=accumulate))


def test_frozen_parts_stay_as_they_are(data, tmp_path):
    start = tmp_path / "first" / "checkpoint"
    train(request(data, tmp_path / "first", steps=1))
    train(request(data, tmp_path / "second", start=str(start), freeze="vision,projector", auxiliary=0.0))
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    frozen = {name for name in before if "vision_backbone" in name or ".projector." in name or ":projector." in name}
    assert len(frozen) > 100 and all(torch.equal(before[name], after[name]) for name in frozen)
    assert not torch.equal(before[other := next(name for name in before if "q_proj" in name)], after[other])


def test_what_cannot_be_frozen_is_refused(data, tmp_path):
    with pytest.raises(UsageError, match="nothing is left to train"):
        train(request(data, tmp_path, freeze="vision,projector,llm,heads"))
    with pytest.raises(UsageError, match='unknown part "visoin". Did you mean "vision"'):
        request(data, tmp_path, freeze="visoin")


@pytest.mark.parametrize("name", ["lightvla", "lightvla-star-vision", "lightvla-star-llm1"])
def test_a_pruner_that_keeps_once_trains_what_is_evaluated(name):
    model, batch = random_vla(NANO, 0, make_pruner(name)), nanos.inputs(4)
    expected = nanos.answer(model.eval(), batch)
    model.train()
    repeated = model(batch)
    model.pruner.once = True
    once = model(batch)
    assert repeated.tokens.visual > once.tokens.visual == expected.tokens.visual
    torch.testing.assert_close(once.actions, expected.actions, atol=1e-5, rtol=0)
    once.actions.sum().backward()
    assert model.openvla.projector.fc1.weight.grad.abs().sum() > 0
