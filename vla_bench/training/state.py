"""Saved states of a training, from which it resumes exactly: weights, optimiser, step and recipe."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import torch
from torch import nn

from vla_bench.errors import CheckpointError, NotComparableError
from vla_bench.training.optimiser import Optimisers
from vla_bench.training.recipe import Recipe

FILE = "state.pt"
FIX = "vla-bench train --out ANOTHER_FOLDER ..."


def save_state(
    folder: Path, recipe: Recipe, origin: dict[str, str], step: int, module: nn.Module, optimisers: Optimisers
) -> None:
    """Write atomically, without frozen weights.  Raises CheckpointError.

    origin: hashes of data and starting weights, which the recipe only names.
    """
    trained = {name: p.detach() for name, p in _trained(module).items()}
    state = {"recipe": recipe.to_dict(), "origin": origin, "step": step, "weights": trained}
    state["optimisers"] = optimisers.state_dict()
    temporary = folder / f".{FILE}.{os.getpid()}"
    try:
        torch.save(state, temporary)
        os.replace(temporary, folder / FILE)
    except (OSError, RuntimeError) as error:
        temporary.unlink(missing_ok=True)
        raise CheckpointError(f"cannot save the training's state in {folder}: {error}", f"df -h {folder}") from error


def load_state(folder: Path, recipe: Recipe, origin: dict[str, str], module: nn.Module, optimisers: Optimisers) -> int:
    """Restore a saved state; returns the number of steps done, 0 where there is none.

    Raises NotComparableError for another recipe or origin, CheckpointError for a damaged file.
    """
    if not (folder / FILE).exists():
        return 0
    state = _read(folder / FILE)
    before, now = Recipe.from_dict(state["recipe"]).to_dict(), recipe.to_dict()
    if recipe.may_prolong(state["step"], before["steps"]):
        before["steps"] = now["steps"]
    changed = [f"{key}: {before[key]!r} there, {now[key]!r} now" for key in now if before[key] != now[key]]
    if changed:
        raise NotComparableError(f"{folder} holds a training with another recipe: {'; '.join(changed)}", FIX)
    # States of earlier versions have no hashes.
    if other := [name for name, sha256 in origin.items() if state.get("origin", origin)[name] != sha256]:
        what = " and ".join(other)
        raise NotComparableError(f"{folder} holds a training whose {what} changed since", f"restore the {what}, or {FIX}")
    if not _fits(state, module):
        raise CheckpointError(f"{folder / FILE} holds the weights of another model", FIX)
    _restore(state, module, optimisers)
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
    _restore(state | {"optimisers": moments}, module, optimisers)


def is_training(start: str) -> bool:
    """Whether `start` is the folder of a training, not of a checkpoint."""
    return (Path(start) / FILE).exists()


def saved_recipe(folder: Path) -> Recipe:
    """The recipe of the training in a folder.  Raises CheckpointError."""
    return Recipe.from_dict(_read(folder / FILE)["recipe"])


def _trained(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def _fits(state: dict, module: nn.Module) -> bool:
    saved = {name: weight.shape for name, weight in state["weights"].items()}
    return saved == {name: p.shape for name, p in _trained(module).items()}


def _restore(state: dict, module: nn.Module, optimisers: Optimisers) -> None:
    with torch.no_grad():
        for name, parameter in _trained(module).items():
            parameter.copy_(state["weights"][name])
    optimisers.load_state_dict(state["optimisers"])


def _read(path: Path) -> dict:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}", FIX) from error
