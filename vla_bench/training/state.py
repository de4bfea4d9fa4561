"""Saved states of a training, from which it resumes exactly: weights, optimiser, step and recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from msgspec import Struct
from torch import Tensor, nn

from vla_bench.checkpoints.pickled import DAMAGED, is_plain, read_pickled
from vla_bench.documents import Count, typed
from vla_bench.errors import CheckpointError, NotComparableError, UsageError
from vla_bench.files import discard, sync, temporary_for
from vla_bench.training.optimiser import Optimisers
from vla_bench.training.recipe import Recipe

FILE = "state.pt"
FIX = "vla-bench train --out ANOTHER_FOLDER ..."


class _State(Struct):
    recipe: dict[str, Any]
    step: Count
    weights: dict[str, Any]
    optimisers: list[dict[str, Any]]
    origin: dict[str, str] = {}


def save_state(
    folder: Path, recipe: Recipe, origin: dict[str, str], step: int, module: nn.Module, optimisers: Optimisers
) -> None:
    """Write atomically, without frozen weights.  Raises CheckpointError.

    origin: hashes of data and starting weights, which the recipe only names.
    """
    trained = {name: p.detach() for name, p in _trained(module).items()}
    state = {"recipe": recipe.to_dict(), "origin": origin, "step": step, "weights": trained}
    state["optimisers"] = optimisers.state_dict()
    temporary = temporary_for(folder / FILE)
    try:
        torch.save(state, temporary)
        sync(temporary)
        os.replace(temporary, folder / FILE)
    except (OSError, RuntimeError) as error:
        discard(temporary)
        raise CheckpointError(f"cannot save the training's state in {folder}: {error}", f"df -h {folder}") from error


def load_state(folder: Path, recipe: Recipe, origin: dict[str, str], module: nn.Module, optimisers: Optimisers) -> int:
    """Restore a saved state; returns the number of steps done, 0 where there is none.

    Raises NotComparableError for another recipe or origin, CheckpointError for a damaged file.
    """
    if not (folder / FILE).exists():
        return 0
    state = _read(folder / FILE)
    before, now = _recipe(state, folder / FILE).to_dict(), recipe.to_dict()
    if recipe.may_prolong(state["step"], before["steps"]):
        before["steps"] = now["steps"]
    changed = [f"{key}: {before[key]!r} there, {now[key]!r} now" for key in now if before[key] != now[key]]
    if changed:
        raise NotComparableError(f"{folder} holds a training with another recipe: {'; '.join(changed)}", FIX)
    # States of earlier versions have no hashes.
    if other := [name for name, sha256 in origin.items() if state.get("origin", origin).get(name) != sha256]:
        what = " and ".join(other)
        raise NotComparableError(f"{folder} holds a training whose {what} changed since", f"restore the {what}, or {FIX}")
    if not _fits(state, module):
        raise CheckpointError(f"{folder / FILE} holds the weights of another model", FIX)
    _restore(state, module, optimisers, folder / FILE)
    return state["step"]


def carry_over(recipe: Recipe, module: nn.Module, optimisers: Optimisers) -> None:
    """Where the recipe starts from a training's folder, also load its auxiliary head and its optimisers' moments.

    Does nothing where it starts from a checkpoint alone, needs fresh heads, or trains other weights than the earlier
    training: with a new pruner, or without the auxiliary loss.
    """
    if recipe.lora_rank or recipe.fresh_heads or not is_training(recipe.start):
        return
    state, own = _read(Path(recipe.start) / FILE), optimisers.state_dict()
    if not _fits(state, module) or len(state["optimisers"]) != len(own):
        return
    moments = [before | {"param_groups": now["param_groups"]} for before, now in zip(state["optimisers"], own, strict=True)]
    _restore(state | {"optimisers": moments}, module, optimisers, Path(recipe.start) / FILE)


def is_training(start: str) -> bool:
    """Whether `start` is the folder of a training, not of a checkpoint."""
    return (Path(start) / FILE).exists()


def saved_recipe(folder: Path) -> Recipe:
    """The recipe of the training in a folder.  Raises CheckpointError."""
    return _recipe(_read(folder / FILE), folder / FILE)


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def _fits(state: dict, module: nn.Module) -> bool:
    saved = {name: weight.shape for name, weight in state["weights"].items()}
    return saved == {name: p.shape for name, p in _trained(module).items()}


def _restore(state: dict, module: nn.Module, optimisers: Optimisers, path: Path) -> None:
    own = _trained(module)
    try:
        _check_moments(state["optimisers"], optimisers)
        before = optimisers.state_dict()
        try:
            optimisers.load_state_dict(state["optimisers"])
        except DAMAGED:
            optimisers.load_state_dict(before)
            raise
    except DAMAGED as error:
        raise CheckpointError(f"{path} holds no state of these optimisers: {error}", FIX) from error
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(state["weights"][name])


def _check_moments(states: list[dict], optimisers: Optimisers) -> None:
    """Raises ValueError where a moment has not the shape of its weight, which torch does not look at."""
    for state, member in zip(states, optimisers.members, strict=True):
        parameters = [p for group in member.param_groups for p in group["params"]]
        for number, moments in typed(state["state"], dict[int, dict[str, Any]]).items():
            for name, moment in moments.items():
                if not 0 <= number < len(parameters):
                    raise ValueError(f"{name} of weight {number}, of {len(parameters)}")
                if isinstance(moment, Tensor) and moment.dim() and moment.shape != parameters[number].shape:
                    raise ValueError(f"{name} of weight {number} is {list(moment.shape)}")


def _recipe(state: dict, path: Path) -> Recipe:
    try:
        return Recipe.from_dict(state["recipe"])
    except (ValueError, UsageError) as error:
        raise CheckpointError(f"{path} holds no recipe of a training: {error}", FIX) from error


def _read(path: Path) -> dict:
    state = read_pickled(path, FIX)
    try:
        typed(state, _State)
        if other := [name for name, weight in state["weights"].items() if not is_plain(weight)]:
            raise ValueError(f"{other[0]} is no dense tensor of real numbers")
    except ValueError as error:
        raise CheckpointError(f"{path} holds no state of a training: {error}", FIX) from error
    return state
