"""What loading a checkpoint decides beyond its files: every choice comes with its reason, for the card."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import torch

from vla_bench.checkpoints.config_file import ConfigFile, Kind
from vla_bench.checkpoints.files import PRUNER, STATISTICS, again, read_json
from vla_bench.checkpoints.preprocessor_config import read_normalisation
from vla_bench.checkpoints.weights import load_part
from vla_bench.errors import CheckpointError, ModelError, UsageError
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.pruner import Pruner
from vla_bench.model.images import CONFIG_NAME, Normalisation
from vla_bench.pruners.registry import NONE, make_pruner
from vla_bench.pruners.spec import parse
from vla_bench.pruners.wrappers import Wrapper

OWN = "default"  # the pruner that a checkpoint was trained with
PUBLISHER = "TTJiang"  # owner of LightVLA's public checkpoints
NAMES_WITH_HEAD = re.compile(r"lightvla|(?<![a-z])oft(?![a-z])", re.IGNORECASE)
PUBLISHED = "lightvla-libero-"  # how their names begin, also on disk


def choose_kind(file: ConfigFile, folder: Path, source: str) -> tuple[Kind, str]:
    """By our block, else by name: LightVLA's pruner has no parameters, so its files look just like OpenVLA-OFT's.

    Raises CheckpointError where a file is missing without which it would pass for plain OpenVLA.
    """
    if file.origin is not None:
        return file.origin.kind, "says its config.json"
    if not file.config.l1_head:
        if NAMES_WITH_HEAD.search(source):
            raise CheckpointError(f"{source} should have an action head, and has no file of one", again(folder))
        return Kind.OPENVLA, "it has no action head"
    if "lightvla" in source.lower():
        return Kind.LIGHTVLA, f"by its name, {source}"
    return Kind.OPENVLA_OFT, "it has an action head"


def choose_device(asked: str | torch.device) -> tuple[torch.device, str]:
    """Raises ModelError for a device that this machine or this torch does not have."""
    there = torch.cuda.is_available()
    if asked == "auto":
        return torch.device("cuda" if there else "cpu"), "CUDA is here" if there else "no CUDA device"
    try:
        device = torch.device(asked)
    except RuntimeError:
        raise ModelError(f'no device "{asked}"', "vla-bench eval --device auto") from None
    if device.type == "cuda" and (not there or (device.index or 0) >= torch.cuda.device_count()):
        raise ModelError(
            f"{device} is not there: torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices", "nvidia-smi"
        )
    return device, "asked for"


def choose_dtype(asked: torch.dtype | None, device: torch.device) -> tuple[torch.dtype, str]:
    if asked is not None:
        return asked, "asked for"
    if device.type == "cuda":
        return torch.bfloat16, "as the published results"
    return torch.float32, "bfloat16 is slow on a CPU"


def choose_action_slice(asked: ActionSlice | str | None, file: ConfigFile, kind: Kind, source: str) -> tuple[ActionSlice, str]:
    """The places the action head reads: what training read, except for the checkpoints that were published reading others."""
    if asked is not None:
        if asked not in list(ActionSlice):
            raise ModelError(f'no action slice "{asked}"', "vla-bench eval --action-slice aligned")
        return ActionSlice(asked), "asked for"
    if file.origin is not None:
        return ActionSlice(file.origin.action_slice), "says its config.json"
    owner, _, name = source.rpartition("/")
    published = owner == PUBLISHER or (not owner and name.lower().startswith(PUBLISHED))
    if kind is Kind.LIGHTVLA and published:
        return ActionSlice.REFERENCE, "what LightVLA's published evaluation reads"
    return ActionSlice.ALIGNED, "what it was trained with"


def statistics_table(file: ConfigFile, folder: Path) -> tuple[dict[str, dict], str]:
    """The raw table; the file of the fine-tuning wins over what the configuration may have inherited.  Raises CheckpointError."""
    path = folder / STATISTICS
    table, why = (read_json(path), STATISTICS) if path.exists() else (file.norm_stats, "norm_stats of its config.json")
    if not table:
        raise CheckpointError(
            f"{folder} has no action statistics: neither {STATISTICS} nor norm_stats", again(folder, STATISTICS)
        )
    return table, why


def pixel_normalisation(folder: Path) -> tuple[Normalisation, str]:
    path = folder / CONFIG_NAME
    if path.exists():
        return read_normalisation(path), CONFIG_NAME
    return Normalisation(), f"as the public checkpoints: no {CONFIG_NAME}"


def choose_pruner(asked: Pruner | str | None, file: ConfigFile, kind: Kind) -> tuple[Pruner | None, str]:
    """`asked` is a pruner, a name, None for none, or "default" for the checkpoint's own.

    Raises CheckpointError, UsageError for a name that is not known.
    """
    if asked == OWN:
        own = own_pruner(file, kind)
        try:
            pruner = make_pruner(own)
        except UsageError as error:
            raise CheckpointError(f"its own pruner cannot be made: {error.message}", "vla-bench eval --pruner none") from error
        return pruner, "the checkpoint has none" if own == NONE else "the checkpoint's own"
    return make_pruner(asked) if isinstance(asked, str) else asked, "asked for"


def own_pruner(file: ConfigFile, kind: Kind) -> str:
    """Name of the pruner that the checkpoint was trained with."""
    if file.origin is not None:
        return file.origin.pruner
    return "lightvla" if kind is Kind.LIGHTVLA else NONE


def fill_pruner(pruner: Pruner, trained_with: str, folder: Path, device: torch.device, dtype: torch.dtype) -> str:
    """Give a trainable pruner the parameters that the checkpoint has for it, a wrapper those of the one inside.

    Says where they are from, and warns where there are none.  Raises CheckpointError where the checkpoint was trained with
    this pruner and lacks them.
    """
    pruner.to(device=device, dtype=dtype)
    if next(pruner.parameters(), None) is None:
        return ""
    while isinstance(pruner, Wrapper):
        pruner = pruner.inner
    if pruner.name != parse(trained_with).name:
        logging.getLogger(__name__).warning("%s has not learnt anything: the checkpoint has no parameters for it", pruner.label)
        return ", its parameters as given: the checkpoint has none for it"
    return f", parameters of {load_part(pruner, folder, PRUNER, device, dtype).name}"
