"""Write a checkpoint in the public layout: what `checkpoint.load` reads, and the public code too.

Every tensor comes back bit for bit.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from vla_bench.checkpoints.config_file import ModelFamily, write_config
from vla_bench.checkpoints.files import (
    CONFIG,
    INDEX,
    PREPROCESSOR,
    STATISTICS,
    TOKENIZER,
    TOKENIZER_FILES,
)
from vla_bench.checkpoints.parts import ACTION_HEAD, PROPRIO_PROJECTOR, PRUNER
from vla_bench.checkpoints.preprocessor_config import preprocessor_config
from vla_bench.checkpoints.weights import DDP_PREFIX, dtype_name
from vla_bench.errors import CheckpointError, ModelError
from vla_bench.files import discard, sweep, sync, temporary_for
from vla_bench.model.images import Normalisation
from vla_bench.model.vla import VLA
from vla_bench.pruners.names import NONE

GENERATION = "generation_config.json"
TABLES = (CONFIG, GENERATION, INDEX, STATISTICS, *TOKENIZER_FILES, PREPROCESSOR, "training.png", "data.json")
WRITTEN = "|".join([*map(re.escape, TABLES), r"model[\w-]*\.safetensors", r"\w+--\d+_checkpoint\.(pt|safetensors)"])


def save(
    folder: Path,
    model: VLA,
    *,
    statistics: Mapping[str, dict],
    normalisation: Normalisation,
    kind: ModelFamily | str,
    step: int = 0,
    tokenizer_file: Path | None = None,
    max_shard_size: str | int = "5GB",
    heads: str = "pt",
    dtype: torch.dtype | None = None,
) -> Path:
    """Save a model as a checkpoint folder, whole or not at all.  Returns the folder.

    kind, the model's pruner and its action slice are written into config.json.
    step: training step, part of the heads' file names.
    tokenizer_file: copied as `tokenizer.json`, with the other tokenizer files of its folder.
    heads: "pt" as in the public checkpoints, or "safetensors".
    dtype: to cast to; None keeps each tensor's own.
    An earlier checkpoint in `folder` is replaced; other files there are an error.  Raises CheckpointError, ModelError.
    """
    folder = Path(os.path.abspath(folder))
    state = model.openvla.state_dict()
    if any(".base_layer." in name for name in state):
        raise ModelError(
            "an unmerged adapter cannot be saved as a checkpoint", "model.openvla = model.openvla.merge_and_unload()"
        )
    if heads not in ("pt", "safetensors"):
        raise ModelError(f'heads are saved as "pt" or "safetensors", not "{heads}"')
    if not statistics:
        raise CheckpointError("a checkpoint without action statistics could not be loaded again")
    if folder.exists() and (reason := _not_ours(folder)):
        raise CheckpointError(f"{folder} is no checkpoint that can be replaced: it has {reason}", f"mv {folder} {folder}.before")
    temporary = temporary_for(folder)
    sweep(folder.parent, re.escape(folder.name))
    try:
        temporary.mkdir(parents=True)
        _write_weights(temporary, state, max_shard_size, dtype)
        for part, module in ((ACTION_HEAD, model.action_head), (PROPRIO_PROJECTOR, model.proprio_projector)):
            _write_part(temporary / f"{part}--{step}_checkpoint.{heads}", module, dtype)
        _write_part(temporary / f"{PRUNER}--{step}_checkpoint.safetensors", model.pruner, dtype)
        _write_tables(temporary, model, dict(statistics), normalisation, kind, dtype)
        if tokenizer_file is not None:
            shutil.copyfile(tokenizer_file, temporary / TOKENIZER)
            for beside in (tokenizer_file.with_name(name) for name in TOKENIZER_FILES if name != TOKENIZER):
                if beside.is_file():
                    shutil.copyfile(beside, temporary / beside.name)
        for path in temporary.iterdir():
            shutil.copymode(temporary / CONFIG, path)  # safetensors writes files that only the owner can read
            sync(path)
        _put_in_place(temporary, folder)
    except (OSError, RuntimeError, SafetensorError) as error:
        # torch reports a full disk as RuntimeError, safetensors as its own.
        raise CheckpointError(f"cannot save to {folder}: {error}", f"df -h {folder.parent}") from error
    finally:
        discard(temporary)
    return folder


def _write_tables(
    folder: Path, model: VLA, statistics: dict, normalisation: Normalisation, kind: ModelFamily | str, dtype: torch.dtype | None
) -> None:
    config, tokens = model.config, model.config.tokens
    write_config(
        folder,
        config,
        statistics,
        kind=kind,
        pruner=model.pruner.label if model.pruner else NONE,
        action_slice=model.action_slice.value,
        dtype=dtype_name(dtype or model.openvla.projector.fc1.weight.dtype),
    )
    ids = {"bos_token_id": tokens.bos, "eos_token_id": tokens.stop, "pad_token_id": tokens.pad}
    _write_json(folder / GENERATION, {"_from_model_config": True, **ids})
    _write_json(folder / STATISTICS, statistics)
    _write_json(folder / PREPROCESSOR, preprocessor_config(normalisation, config.image_size))


def _write_weights(folder: Path, state: Mapping[str, Tensor], max_shard_size: str | int, dtype: torch.dtype | None) -> None:
    from huggingface_hub import split_torch_state_dict_into_shards

    # Planned on tensors without memory, in the dtype to be written; then one shard at a time is in memory.
    outline = {name: torch.empty(tensor.shape, dtype=dtype or tensor.dtype, device="meta") for name, tensor in state.items()}
    plan = split_torch_state_dict_into_shards(outline, max_shard_size=max_shard_size)
    for file, names in plan.filename_to_tensors.items():
        save_file(_portable({name: state[name] for name in names}, dtype), folder / file, metadata={"format": "pt"})
    if plan.is_sharded:
        _write_json(folder / INDEX, {"metadata": plan.metadata, "weight_map": dict(sorted(plan.tensor_to_filename.items()))})


def _write_part(path: Path, module: nn.Module | None, dtype: torch.dtype | None) -> None:
    """A head or a pruner in a file of its own; one without parameters leaves no file."""
    state = _portable(module.state_dict(), dtype) if module is not None else {}
    if state and path.suffix == ".pt":
        torch.save({DDP_PREFIX + name: tensor for name, tensor in state.items()}, path)
    elif state:
        save_file(state, path, metadata={"format": "pt"})


def _portable(state: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    return {name: tensor.detach().to("cpu", dtype or tensor.dtype).contiguous() for name, tensor in state.items()}


def _write_json(path: Path, table: dict) -> None:
    path.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def _not_ours(folder: Path) -> str | None:
    """Why a folder must not be replaced: content that neither `save` nor a training wrote; None where there is none."""
    if not folder.is_dir():
        return "a file's contents"
    names = sorted(path.name for path in folder.iterdir())
    if names and CONFIG not in names:
        return f"no {CONFIG}"
    return next((name for name in names if not re.fullmatch(WRITTEN, name)), None)


def _put_in_place(temporary: Path, folder: Path) -> None:
    """Replace `folder`; the earlier one is removed last, and a crash in between leaves it whole under another name."""
    if not folder.exists():
        os.rename(temporary, folder)
        return
    before = temporary.with_name(f"{temporary.name}.before")
    os.rename(folder, before)
    try:
        os.rename(temporary, folder)
    except OSError:
        os.rename(before, folder)
        raise
    shutil.rmtree(before, ignore_errors=True)
