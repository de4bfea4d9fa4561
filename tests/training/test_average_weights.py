"""scripts/average_weights.py: the mean of checkpoints, and a fine-tuning's change applied to another start."""

from __future__ import annotations

import json
import runpy

import pytest
import torch

from vla_bench.checkpoints.checkpoint import load
from vla_bench.checkpoints.files import STATISTICS
from vla_bench.checkpoints.known import WEIGHTS
from vla_bench.errors import CheckpointError

from ..conftest import ROOT

combine = runpy.run_path(str(ROOT / "scripts" / "average_weights.py"))["combine"]
DENSE, TUNED = "nano-oft", "nano-lightvla"


def tensors(checkpoint):
    return load(checkpoint, device="cpu", dtype=torch.float32).model.state_dict()


def test_the_mean_is_that_of_every_tensor_and_a_change_is_added_to_it(tmp_path):
    combine(tmp_path / "mean", [DENSE, TUNED], None, 7)
    assert (tmp_path / "mean" / "action_head--7_checkpoint.safetensors").exists()
    mean, (dense, tuned) = tensors(tmp_path / "mean"), (tensors(WEIGHTS / name) for name in (DENSE, TUNED))
    assert mean.keys() == dense.keys()
    for name, tensor in mean.items():
        assert torch.equal(tensor, (0.5 * (dense[name] + tuned[name])).half().float()), name
    combine(tmp_path / "changed", [TUNED, tmp_path / "mean", DENSE], [1.0, 1.0, -1.0], 0)
    changed = load(tmp_path / "changed", device="cpu")
    assert changed.model.pruner.name == "lightvla"
    state = changed.model.state_dict()
    assert all(torch.allclose(state[name], 1.5 * tuned[name] - 0.5 * dense[name], atol=2e-3) for name in dense)


@pytest.mark.parametrize("weights", [[1.0], [1.0, 1.0], [0.4, 0.4]])
def test_weights_that_do_not_fit_are_refused(tmp_path, weights):
    with pytest.raises(CheckpointError, match="a sum of 1"):
        combine(tmp_path / "mean", [DENSE, TUNED], weights, 0)


def test_checkpoints_of_other_scales_are_refused(tmp_path):
    combine(tmp_path / "other", [DENSE], None, 0)
    table = json.loads((tmp_path / "other" / STATISTICS).read_text())
    next(iter(table.values()))["action"]["q99"][0] *= 2
    (tmp_path / "other" / STATISTICS).write_text(json.dumps(table))
    with pytest.raises(CheckpointError, match="differ in scale"):
        combine(tmp_path / "mean", [DENSE, tmp_path / "other"], None, 0)
    assert not (tmp_path / "mean").exists()
