"""GridS: the released sampler, interpolation, the places of sampled tokens, and a training that moves its points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.nanos import answer, inputs, one_thread
from vla_bench.demonstrations.hdf5 import write_demos
from vla_bench.errors import ModelError
from vla_bench.interface.layout import Layout
from vla_bench.interface.presets import NANO
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import Patches, Query, View
from vla_bench.model.initialise import random_vla
from vla_bench.pruners.grid_sampler import GridSampler, bilinear, places
from vla_bench.training.finetune import train
from vla_bench.verify.baselines import grid_sampler
from vla_bench.verify.compare import CheckStatus, judge
from vla_bench.verify.fixture import Fixture, read

from ..conftest import ROOT
from ..trainings import TASK, demonstration, request, weights

GOLDEN = ROOT / "tests/pruners/golden/baselines_grid_sampler.npz"


def test_the_release_is_reproduced_and_a_changed_value_misses():
    rows = judge(GOLDEN.name, given := read(GOLDEN), grid_sampler.computed(given))
    assert [row.verdict for row in rows] == [CheckStatus.OK] * 2
    changed = Fixture({name: given[name] + (0.01 if name == "case1/tokens" else 0) for name in given.names()})
    assert [row.verdict for row in judge("x", changed, grid_sampler.computed(changed))].count(CheckStatus.MISS) == 1


# By hand


def test_bilinear_is_the_sum_over_four_corners():
    draw = np.random.default_rng(0)
    maps, at = draw.normal(size=(2, 4, 4, 3)), draw.uniform(size=(2, 5, 2))
    expected = np.zeros((2, 5, 3))
    for n, k in np.ndindex(2, 5):
        x, y = 3 * at[n, k]
        for row, column in np.ndindex(4, 4):
            expected[n, k] += max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row)) * maps[n, row, column]
    assert np.allclose(bilinear(torch.tensor(maps), torch.tensor(at)), expected)


def test_the_corners_of_the_image_are_its_outer_patches():
    maps = torch.arange(9.0).reshape(1, 3, 3, 1)
    corners = torch.tensor([[[0.0, 0], [1, 0], [0, 1], [1, 1], [0.5, 0.25]]])
    assert bilinear(maps, corners).flatten().tolist() == [0, 2, 6, 8, 2.5]
    assert bilinear(maps[:, :1, :1], corners).flatten().tolist() == [0] * 5


def test_each_token_takes_the_nearest_free_patch():
    at = torch.tensor([[[0.5, 0.5], [0.5, 0.5], [0.9, 0.9], [0.0, 1.0]]])
    assert places(at, 3).tolist() == [[4, 1, 8, 6]]  # the middle is taken: of four as near the smallest index
    assert sorted(places(torch.rand(1, 9, 2), 3)[0].tolist()) == list(range(9))


def test_the_points_follow_from_the_image_tokens_and_only_so_many_as_a_camera_has():
    sampler = GridSampler(keep=5)
    sampler.attach(NANO)
    hidden = torch.randn(1, 128, NANO.llm.width)
    view = View(LLM_INPUT, Patches(hidden, torch.arange(128)[None]), Layout(2, 64, 1, (5,), 56), (Query(),))
    found = sampler.select(view)
    assert not found.keep.any() and found.merged.ids.shape == (1, 5)
    assert (found.merged.ids[0] // 64).tolist() == [0, 0, 0, 1, 1]
    with torch.no_grad():
        at = sampler.scout(hidden[:, 64:].mean(dim=1)).sigmoid().reshape(1, 3, 2)
        expected = bilinear(hidden[:, 64:].reshape(1, 8, 8, -1), at) + sampler.encoder(at)
    assert torch.allclose(found.merged.hidden[:, 3:], expected[:, :2], atol=1e-6)


def test_weights_depend_on_nothing_but_the_sizes():
    first, second = GridSampler(), GridSampler()
    first.attach(NANO)
    torch.rand(3)
    second.attach(NANO)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert {name.split(".")[0] for name, _ in GridSampler(geometry=False).named_parameters()} == set()


def test_not_a_number_is_an_error():
    model = random_vla(NANO, 0).eval()
    model.attach(GridSampler().eval())
    model.pruner.scout[0].weight.data[0, 0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        answer(model, inputs(1))


# Training


def test_the_loss_of_the_actions_moves_the_points():
    model = random_vla(NANO, 0)
    model.attach(GridSampler())
    with torch.enable_grad():
        model.train()(inputs(2)).actions.abs().sum().backward()
    for network in (model.pruner.scout, model.pruner.encoder):
        assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_it_trains_on_nano_and_its_checkpoint_has_it(tmp_path):
    (tmp_path / "libero_object").mkdir()
    write_demos(tmp_path / "libero_object" / f"{TASK}_demo.hdf5", {"num_demos": 1}, [demonstration(0)])
    with one_thread():
        train(request(tmp_path, tmp_path / "out", pruner="grid-sampler", steps=2))
    start = GridSampler()
    start.attach(NANO)
    file = "pruner--2_checkpoint.safetensors:"
    found = {name.removeprefix(file): value for name, value in weights(tmp_path / "out").items() if name.startswith(file)}
    assert found.keys() == start.state_dict().keys()
    assert all(not torch.equal(found[name], value) for name, value in start.state_dict().items())
