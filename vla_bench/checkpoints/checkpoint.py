"""Checkpoints in the public layout: `load` builds the model of a folder or hub repository, ready for queries.

    loaded = load("TTJiang/LightVLA-libero-goal")
    output = loaded.model(inputs)

What the files leave open is decided in choices.py and shown in the card with its reason.  `save` writes the same layout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from vla_bench.checkpoints.adapter import apply_adapter, describe_adapter
from vla_bench.checkpoints.adapter_folder import read_adapter
from vla_bench.checkpoints.assumed import NOTHING_SAID, TrainedWith, complete
from vla_bench.checkpoints.card import card, model_lines, statistics_value
from vla_bench.checkpoints.choices import (
    OWN,
    choose_action_slice,
    choose_device,
    choose_dtype,
    choose_kind,
    choose_pruner,
    fill_pruner,
    own_decoding,
    own_pruner,
    pixel_normalisation,
    statistics_table,
)
from vla_bench.checkpoints.config_file import ModelFamily, read_config_file
from vla_bench.checkpoints.files import TOKENIZER, find_file, origin
from vla_bench.checkpoints.hub import is_hub_id, local_folder, revision
from vla_bench.checkpoints.identity import identity
from vla_bench.checkpoints.parts import check_parts
from vla_bench.checkpoints.saving import save
from vla_bench.checkpoints.weights import dtype_name, load_weights
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.pruner import Pruner
from vla_bench.model.images import Normalisation
from vla_bench.model.vla import VLA
from vla_bench.pruners.names import NONE
from vla_bench.values import Decoding

__all__ = ["Loaded", "load", "save"]


@dataclass(frozen=True)
class Loaded:
    """A loaded model with the rest of its checkpoint.

    model: in eval mode, on its device.
    statistics: the raw table of action and proprio statistics, by dataset key.
    normalisation: of the pixels.
    decoding: how its actions are decoded, None where no file says it; and the reason.
    tokenizer_file: `tokenizer.json`, None where the checkpoint has none.
    sha256: the checkpoint's identity, its adapter included; see identity.py.
    revision: of one from the hub, "owner/name@commit".
    card: lines (what, "value (reason)").
    """

    model: VLA
    config: VLAConfig
    statistics: dict[str, dict]
    normalisation: Normalisation
    tokenizer_file: Path | None
    folder: Path
    kind: ModelFamily
    decoding: tuple[Decoding | None, str]
    sha256: str
    revision: str | None
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
    trained_with: TrainedWith = NOTHING_SAID,
) -> Loaded:
    """Load a checkpoint: a folder, or a hub id "owner/name".  Raises CheckpointError, and ModelError without enough memory.

    device: auto is CUDA where there is one.
    dtype: None is bfloat16 on CUDA, as the published results, and float32 elsewhere.
    pruner: "default" is the checkpoint's own, None keeps every image token.  A trainable pruner gets the parameters that
        the checkpoint has for it.
    action_slice: None for the one of the checkpoint's release.
    adapter: folder of a LoRA adapter, merged into the weights unless `merge` is False.  Heads, statistics and tokenizer of the
        training that it is of are taken where they lie beside it.
    trained_with: what the files do not say.
    """
    folder = local_folder(source)
    lora = None if adapter is None else read_adapter(adapter)
    places = (folder,) if lora is None else (lora.training, folder)
    check_parts(places[0])
    file = read_config_file(folder, places[0])
    name = str(source) if is_hub_id(source) else origin(folder)
    config, reasons = complete(file, name, trained_with)
    kind, kind_reason = choose_kind(file, folder, name)
    place, place_reason = choose_device(device)
    if place.type == "cuda" and place.index is not None:
        torch.cuda.set_device(place)  # CUDA graphs and free memory are asked of the current device
    wanted, wanted_reason = choose_dtype(dtype, place)
    rows, rows_reason = choose_action_slice(action_slice, file, kind, name)
    statistics, statistics_reason = statistics_table(file, *places)
    normalisation, normalisation_reason = pixel_normalisation(*places)
    chosen, chosen_reason = choose_pruner(pruner, file, kind)
    adapted = [] if lora is None else [("adapter", str(lora.weights), describe_adapter(lora, merge))]
    sha256 = identity(folder, lora)
    commit = revision(folder) if is_hub_id(source) else None

    with torch.device("meta"):
        model = VLA(config, action_slice=rows)
    model.attach(chosen)  # before any weight is read: it may not fit
    load_weights(model, places, place, wanted)
    if chosen is not None:
        chosen_reason += fill_pruner(chosen, own_pruner(file, kind), places, place, wanted)
    if lora is not None:
        apply_adapter(model, lora, merge)
    model.eval()
    model.openvla.language_model.check_bidirectional()

    lines = [
        ("model", kind.value, kind_reason),
        ("source", str(source), str(folder) if is_hub_id(source) else ""),
        *([("revision", commit, "")] if commit else []),
        ("dtype", dtype_name(wanted), wanted_reason),
        ("device", str(place), place_reason),
        *model_lines(model, reasons),
        ("pruner", chosen.label if chosen else NONE, chosen_reason),
        ("action slice", rows.value, rows_reason),
        ("statistics", statistics_value(statistics), statistics_reason),
        ("normalisation", "of both vision branches", normalisation_reason),
        *adapted,
    ]
    return Loaded(
        model=model,
        config=config,
        statistics=statistics,
        normalisation=normalisation,
        tokenizer_file=find_file(places, TOKENIZER),
        folder=folder,
        kind=kind,
        decoding=own_decoding(file, name),
        sha256=sha256,
        revision=commit and f"{source}@{commit}",
        card=card(lines),
    )
