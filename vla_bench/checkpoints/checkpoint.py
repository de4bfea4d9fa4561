"""Checkpoints in the public layout: `load` builds the model that a folder or hub repository holds, ready to answer.

    loaded = load("TTJiang/LightVLA-libero-goal")
    output = loaded.model(inputs)

What the files do not say is decided in choices.py and stands in the card with its reason.  `save` writes the same layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from vla_bench.checkpoints.adapter import apply_adapter, describe_adapter
from vla_bench.checkpoints.card import card, model_lines, statistics_value
from vla_bench.checkpoints.choices import (
    OWN,
    choose_action_slice,
    choose_device,
    choose_dtype,
    choose_kind,
    choose_pruner,
    fill_pruner,
    own_pruner,
    pixel_normalisation,
    statistics_table,
)
from vla_bench.checkpoints.config_file import Kind, read_config_file
from vla_bench.checkpoints.files import TOKENIZER, identity, origin
from vla_bench.checkpoints.hub import find, is_hub_id
from vla_bench.checkpoints.saving import save
from vla_bench.checkpoints.weights import dtype_name, load_weights
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.pruner import Pruner
from vla_bench.model.images import Normalisation
from vla_bench.model.vla import VLA
from vla_bench.pruners.registry import NONE

__all__ = ["Loaded", "find", "load", "save"]


@dataclass(frozen=True)
class Loaded:
    """A model with its company.

    model: in eval mode, on its device.
    statistics: the raw table of action and proprio statistics, by dataset key.
    normalisation: of the pixels.
    tokenizer_file: `tokenizer.json`, None where the checkpoint has none.
    sha256: the checkpoint's identity, its adapter included; see `files.identity`.
    card: lines "what", "value (why)".
    """

    model: VLA
    config: VLAConfig
    statistics: dict[str, dict]
    normalisation: Normalisation
    tokenizer_file: Path | None
    folder: Path
    kind: Kind
    sha256: str
    card: tuple[tuple[str, str], ...]


def load(
    source: str | Path,
    *,
    device: str = "auto",
    dtype: torch.dtype | None = None,
    pruner: Pruner | str | None = OWN,
    action_slice: ActionSlice | str | None = None,
    adapter: Path | None = None,
    merge: bool = True,
) -> Loaded:
    """Load a checkpoint: a folder, or a hub id "owner/name".  Raises CheckpointError, and ModelError without enough memory.

    device: auto is CUDA where there is one.
    dtype: None is bfloat16 on CUDA, as the published results, and float32 elsewhere.
    pruner: "default" is the checkpoint's own, None keeps every image token.  A trainable pruner gets the parameters that
        the checkpoint has for it.
    action_slice: None follows the checkpoint's origin.
    adapter: folder of a LoRA adapter to put on it, merged into the weights unless `merge` is False.
    """
    folder = find(source)
    adapter = None if adapter is None else Path(adapter)
    file = read_config_file(folder)
    name = str(source) if is_hub_id(source) else origin(folder)
    kind, kind_why = choose_kind(file, folder, name)
    place, place_why = choose_device(device)
    wanted, wanted_why = choose_dtype(dtype, place)
    rows, rows_why = choose_action_slice(action_slice, file, kind, name)
    statistics, statistics_why = statistics_table(file, folder)
    normalisation, normalisation_why = pixel_normalisation(folder)
    chosen, chosen_why = choose_pruner(pruner, file, kind)
    adapted = [] if adapter is None else [("adapter", str(adapter), describe_adapter(adapter, merge))]
    sha256 = identity(folder, adapter)

    with torch.device("meta"):
        model = VLA(file.config, action_slice=rows)
    load_weights(model, folder, place, wanted)
    if chosen is not None:
        model.attach(chosen)
        chosen_why += fill_pruner(chosen, own_pruner(file, kind), folder, place, wanted)
    if adapter is not None:
        apply_adapter(model, adapter, merge)
    model.eval()
    model.openvla.language_model.check_bidirectional()

    lines = [
        ("model", kind.value, kind_why),
        ("source", str(source), str(folder) if is_hub_id(source) else ""),
        ("dtype", dtype_name(wanted), wanted_why),
        ("device", str(place), place_why),
        *model_lines(model),
        ("pruner", chosen.label if chosen else NONE, chosen_why),
        ("action slice", rows.value, rows_why),
        ("statistics", statistics_value(statistics), statistics_why),
        ("normalisation", "of both vision branches", normalisation_why),
        *adapted,
    ]
    tokenizer = folder / TOKENIZER
    return Loaded(
        model=model,
        config=file.config,
        statistics=statistics,
        normalisation=normalisation,
        tokenizer_file=tokenizer if tokenizer.is_file() else None,
        folder=folder,
        kind=kind,
        sha256=sha256,
        card=card(lines),
    )
