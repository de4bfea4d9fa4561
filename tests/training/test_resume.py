"""A training that was killed, stopped, prolonged or exported ends as an uninterrupted one; changes are refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from vla_bench.checkpoints.checkpoint import load
from vla_bench.demonstrations.hdf5 import write_demos
from vla_bench.errors import NotComparableError, RecordError, UsageError
from vla_bench.locks import locked
from vla_bench.training.finetune import TrainRequest, train
from vla_bench.training.recipe import recipe

from ..trainings import TASK, demonstration, request, weights


def test_a_killed_training_goes_on_to_the_same_weights(data, cli, tmp_path):
    straight = train(request(data, tmp_path / "straight"))
    killed = tmp_path / "killed"
    command = ["train", "--recipe", "nano-oft", "--data", str(data), "--out", str(killed), "--steps", "6", "--batch", "2"]
    command += ["--seed", "3", "--save-every", "2", "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "vla_bench", *command],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    log, deadline = killed / "log.csv", time.monotonic() + 120
    while time.monotonic() < deadline and not (log.exists() and len(log.read_text().splitlines()) >= 4):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "checkpoint").exists() and (killed / "state.pt").exists()
    again = cli(*command)
    assert again.exit_code == 2 and "--resume" in again.exception.fix
    done = cli(*command, "--resume")
    assert done.exit_code == 0 and done.stdout.strip() == str(killed / "checkpoint"), done.stderr
    left, right = weights(straight.checkpoint.parent), weights(killed)
    assert left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
    assert len(log.read_text().splitlines()) == 7


def test_another_recipe_cannot_resume(data, tmp_path):
    train(request(data, tmp_path, steps=1))
    with pytest.raises(NotComparableError, match="seed: 3 there, 4 now"):
        train(request(data, tmp_path, resume=True, steps=1, seed=4))


def test_other_data_or_another_start_cannot_resume(data, tmp_path):
    """Their statistics would be written beside weights that never saw them."""
    grown = tmp_path / "grown"
    shutil.copytree(data / "libero_object", grown / "libero_object")
    dense = train(request(grown, tmp_path / "dense", steps=1)).checkpoint
    train(request(grown, tmp_path / "tuned", "nano-lightvla", start=str(dense), steps=2))
    write_demos(grown / "libero_object" / f"{TASK.replace('milk', 'butter')}_demo.hdf5", {}, [demonstration(2)])
    for again in (request(grown, tmp_path / "dense", steps=1, resume=True), request(grown, tmp_path / "dense", steps=1)):
        with pytest.raises(NotComparableError, match="whose data changed"):
            train(replace(again, resume=True) if again.resume else replace(again, export=tmp_path / "export"))
    other = train(request(data, tmp_path / "other", steps=1, seed=9)).checkpoint
    shutil.rmtree(dense)
    shutil.copytree(other, dense)
    with pytest.raises(NotComparableError, match="whose data and start changed"):
        train(request(grown, tmp_path / "tuned", "nano-lightvla", start=str(dense), steps=2, resume=True))


def test_a_training_can_be_prolonged_and_exported_before_its_end(data, tmp_path, plot):
    """Two steps of ten, then two more of four: as if it had been four from the start."""
    straight = train(request(data, tmp_path / "straight", steps=4))
    way = tmp_path / "way"
    planned = request(data, way, steps=10)
    train(planned, lambda step, *_: signal.raise_signal(signal.SIGINT) if step == 2 else None)
    exported = train(TrainRequest(recipe("paper"), data, way, "cpu", export=tmp_path / "export"))  # whatever recipe is asked for
    assert exported.steps == 2 and exported.exit_code == 0 and load(exported.checkpoint, device="cpu").kind.value == "openvla-oft"
    assert len((way / "log.csv").read_text().splitlines()) == 3 and (tmp_path / "export" / "training.png").exists()
    train(request(data, way, resume=True, steps=4))
    left, right = weights(straight.checkpoint.parent), weights(way)
    assert all(torch.equal(left[name], right[name]) for name in left)
    with pytest.raises(UsageError, match="holds no training"):
        train(replace(planned, out=tmp_path / "nothing", export=tmp_path / "export"))


def test_a_running_training_can_be_exported(data, tmp_path):
    exported = []

    def export(step, *_):
        if step == 3:  # saved every two steps
            exported.append(train(replace(request(data, tmp_path / "way"), export=tmp_path / "export")))

    done = train(request(data, tmp_path / "way", steps=4), export)
    assert done.finished and exported[0].steps == 2 and load(exported[0].checkpoint, device="cpu").statistics
    assert len(done.log.read_text().splitlines()) == 5


def test_one_training_a_folder(data, tmp_path):
    with locked(tmp_path), pytest.raises(RecordError, match="another vla-bench is writing"):
        train(request(data, tmp_path))
