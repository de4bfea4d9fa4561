"""A training's saved state is read as one, or refused: never half of it, and never another kind of file."""

import pytest
import torch

from vla_bench.errors import CheckpointError
from vla_bench.training.optimiser import Optimisers
from vla_bench.training.recipe import recipe
from vla_bench.training.state import FILE, load_state, save_state, saved_recipe

PLAN, ORIGIN = recipe("nano-oft"), {"data": "0" * 64}


def training():
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2))
    return module, Optimisers(PLAN, module)


@pytest.fixture
def folder(tmp_path):
    module, optimisers = training()
    module(torch.ones(1, 3)).sum().backward()
    optimisers.step(1.0)
    save_state(tmp_path, PLAN, ORIGIN, 7, module, optimisers)
    return tmp_path


def test_it_comes_back(folder):
    assert load_state(folder, PLAN, ORIGIN, *training()) == 7 and saved_recipe(folder) == PLAN
    assert [path.name for path in folder.iterdir()] == [FILE]


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(step=-1),
        lambda state: state.update(step=2**62),
        lambda state: state.pop("recipe"),
        lambda state: state["recipe"].update(batch="many"),
        lambda state: state["recipe"].update(unknown=1),
        lambda state: state["recipe"].update(batch=0),
        lambda state: state.update(weights=[1]),
        lambda state: state["weights"].update({"0.weight": state["weights"]["0.weight"].to_sparse()}),
        lambda state: state["weights"].update({"0.weight": torch.zeros(5)}),
        lambda state: state["optimisers"][0]["state"].update({0: {"exp_avg": torch.zeros(9)}}),
        lambda state: state["optimisers"][0]["state"].update({99: {"exp_avg": torch.zeros(9)}}),
        lambda state: state["optimisers"][0].pop("param_groups"),
        lambda state: state.update(optimisers=[]),
    ],
)
def test_what_is_no_state_is_refused_and_changes_nothing(folder, change):
    state = torch.load(folder / FILE, weights_only=True)
    change(state)
    torch.save(state, folder / FILE)
    module, optimisers = training()
    before = {name: weight.clone() for name, weight in module.state_dict().items()}
    with pytest.raises(CheckpointError):
        load_state(folder, PLAN, ORIGIN, module, optimisers)
    assert all(torch.equal(weight, before[name]) for name, weight in module.state_dict().items())
