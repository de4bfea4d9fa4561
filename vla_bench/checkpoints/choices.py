"""The choices that a checkpoint's files leave open, each with its reason for the card."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from vla_bench.checkpoints.config_file import ConfigFile, ModelFamily
from vla_bench.checkpoints.files import PREPROCESSOR, STATISTICS, download_command, find_file, read_json
from vla_bench.checkpoints.known import OPENVLA, published
from vla_bench.checkpoints.parts import PRUNER
from vla_bench.checkpoints.preprocessor_config import read_normalisation
from vla_bench.checkpoints.weights import load_part
from vla_bench.errors import CheckpointError, ModelError, UsageError
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.pruner import Pruner
from vla_bench.model.images import Normalisation
from vla_bench.pruners.names import NONE
from vla_bench.pruners.registry import make_pruner
from vla_bench.pruners.spec import parse
from vla_bench.pruners.wrappers import Wrapper
from vla_bench.values import Decoding

OWN = "default"  # the pruner that a checkpoint was trained with
PUBLISHER = "TTJiang"  # owner of LightVLA's public checkpoints
PUBLISHED = "lightvla-libero-"  # how their names begin, also on disk


def choose_kind(file: ConfigFile, folder: Path, source: str) -> tuple[ModelFamily, str]:
    """The model family: from our block, else that of a public checkpoint by its hub id, else from the files.

    LightVLA has the same files as OpenVLA-OFT, so of two checkpoints with an action head the name decides.
    Raises CheckpointError where the action head of a public checkpoint is missing.
    """
    if file.origin is not None:
        return file.origin.kind, "from its config.json"
    family = published(source)
    if not file.config.l1_head:
        if family not in (None, OPENVLA):
            raise CheckpointError(f"{source} should have an action head, but has no file of it", download_command(folder))
        return ModelFamily.OPENVLA, "it has no action head"
    if family not in (None, OPENVLA):
        return ModelFamily(family), "as published"
    if "lightvla" in source.lower():
        return ModelFamily.LIGHTVLA, f"assumed by its name, {source}"
    return ModelFamily.OPENVLA_OFT, "it has an action head"


def own_decoding(file: ConfigFile, source: str) -> tuple[Decoding | None, str]:
    """How a checkpoint's actions are decoded; None where no file says it.

    Without an action head they are tokens, one after another (OpenVLA) or all at once (OpenVLA-OFT trained so): the files of
    both are the same.
    """
    if file.config.l1_head:
        return Decoding.L1, "it has an L1 head"
    if file.origin is not None:
        own = Decoding.AR if file.origin.kind is ModelFamily.OPENVLA else Decoding.PARALLEL
        return own, f"from its config.json: it is of the kind {file.origin.kind.value}"
    return (Decoding.AR, "as published") if published(source) == OPENVLA else (None, "no file says it")


def choose_device(wanted: str | torch.device) -> tuple[torch.device, str]:
    """The device called "auto", "cpu", "cuda" or "cuda:1".  Raises ModelError for one that is not available."""
    cuda = torch.cuda.is_available()
    if wanted == "auto":
        return torch.device("cuda" if cuda else "cpu"), "CUDA is available" if cuda else "no CUDA device"
    try:
        device = torch.device(wanted)
    except RuntimeError:
        raise ModelError(f'no device "{wanted}"', instead={"--device": "auto"}) from None
    if device.type == "cuda" and (not cuda or (device.index or 0) >= torch.cuda.device_count()):
        count = torch.cuda.device_count() if cuda else 0
        other = f"cuda:{count - 1}" if count else "cpu"
        raise ModelError(
            f"{device} is not available: torch {torch.__version__} sees {count} CUDA devices", instead={"--device": other}
        )
    return device, "asked for"


def choose_dtype(wanted: torch.dtype | None, device: torch.device) -> tuple[torch.dtype, str]:
    if wanted is not None:
        return wanted, "asked for"
    if device.type == "cuda":
        return torch.bfloat16, "as the published results"
    return torch.float32, "bfloat16 is slow on a CPU"


def choose_action_slice(
    wanted: ActionSlice | str | None, file: ConfigFile, kind: ModelFamily, source: str
) -> tuple[ActionSlice, str]:
    """The hidden states that the action head reads: as in training, except for LightVLA's published checkpoints."""
    if wanted is not None:
        if wanted not in list(ActionSlice):
            raise ModelError(f'no action slice "{wanted}"', "vla-bench eval --action-slice aligned")
        return ActionSlice(wanted), "asked for"
    if file.origin is not None:
        return ActionSlice(file.origin.action_slice), "from its config.json"
    owner, _, name = source.rpartition("/")
    released = owner == PUBLISHER or (not owner and name.lower().startswith(PUBLISHED))
    if kind is ModelFamily.LIGHTVLA and released:
        return ActionSlice.REFERENCE, "as in LightVLA's published evaluation"
    return ActionSlice.ALIGNED, "as in training"


def statistics_table(file: ConfigFile, *places: Path) -> tuple[dict[str, dict], str]:
    """The raw table: of dataset_statistics.json in the first folder that has one, else of config.json, which may be inherited.

    As in the reference the file wins; the reason says where the other has other numbers.  Raises CheckpointError.
    """
    path = find_file(places, STATISTICS)
    table, reason = (read_json(path), STATISTICS) if path else (file.norm_stats, "norm_stats of its config.json")
    if not table:
        what = f"{places[-1]} has no action statistics: neither {STATISTICS} nor norm_stats"
        raise CheckpointError(what, download_command(places[-1], STATISTICS))
    if other := [key for key, entry in file.norm_stats.items() if table.get(key, entry) != entry]:
        reason += f"; norm_stats of config.json has other numbers for {', '.join(other)}"
    return table, reason


def pixel_normalisation(*places: Path) -> tuple[Normalisation, str]:
    path = find_file(places, PREPROCESSOR)
    if path is not None:
        return read_normalisation(path), PREPROCESSOR
    return Normalisation(), f"as the public checkpoints: no {PREPROCESSOR}"


def choose_pruner(wanted: Pruner | str | None, file: ConfigFile, kind: ModelFamily) -> tuple[Pruner | None, str]:
    """wanted: a pruner, a name, None for none, or "default" for the checkpoint's own.

    Raises CheckpointError, and UsageError for an unknown name.
    """
    if wanted == OWN:
        own = own_pruner(file, kind)
        try:
            pruner = make_pruner(own)
        except UsageError as error:
            raise CheckpointError(
                f"the checkpoint's own pruner cannot be made: {error.message}", "vla-bench eval --pruner none"
            ) from error
        return pruner, "the checkpoint has none" if own == NONE else "the checkpoint's own"
    return make_pruner(wanted) if isinstance(wanted, str) else wanted, "asked for"


def own_pruner(file: ConfigFile, kind: ModelFamily) -> str:
    """Name of the pruner that the checkpoint was trained with."""
    if file.origin is not None:
        return file.origin.pruner
    return "lightvla" if kind is ModelFamily.LIGHTVLA else NONE


def fill_pruner(pruner: Pruner, trained_with: str, places: Sequence[Path], device: torch.device, dtype: torch.dtype) -> str:
    """Load a trainable pruner's parameters (a wrapper's: of its inner pruner).

    Returns their source, for the card, and warns where there is none.  Raises CheckpointError where the checkpoint was
    trained with this pruner and lacks them.
    """
    pruner.to(device=device, dtype=dtype)
    if next(pruner.parameters(), None) is None:
        return ""
    while isinstance(pruner, Wrapper):
        pruner = pruner.inner
    if pruner.name != parse(trained_with).name:
        logging.getLogger(__name__).warning("%s is untrained: the checkpoint has no parameters for it", pruner.label)
        return ", untrained: the checkpoint has no parameters for it"
    return f", parameters of {load_part(pruner, places, PRUNER, device, dtype).name}"
