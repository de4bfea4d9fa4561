"""A LoRA adapter of peft on disk, and what its training left beside it.  Read without torch.

A training that does not merge leaves `lora_adapter/` in a folder that has heads, statistics and tokenizer, and no weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vla_bench.checkpoints.files import CONFIG, read_json
from vla_bench.errors import CheckpointError

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
SUBFOLDER = "lora_adapter"


@dataclass(frozen=True)
class AdapterFolder:
    """weights: folder of the adapter's own two files.
    training: folder with the heads, statistics and tokenizer that were trained with it; it may have none of them.
    base: name or path of the model that it was trained on, as `adapter_config.json` gives it; None where it gives none.
    """

    weights: Path
    training: Path
    base: str | None

    @property
    def files(self) -> list[Path]:
        """The adapter's own files, of those that decide what it does."""
        return sorted(path for path in self.weights.iterdir() if path.suffix in (".json", ".safetensors"))


def find_adapter(folder: Path) -> AdapterFolder | None:
    """The adapter in a folder, or in its `lora_adapter`; None where there is none.  Raises CheckpointError for a damaged one."""
    for weights in (folder, folder / SUBFOLDER):
        if (weights / ADAPTER_CONFIG).is_file():
            base = read_json(weights / ADAPTER_CONFIG).get("base_model_name_or_path")
            training = weights.parent if weights.name == SUBFOLDER else weights
            return AdapterFolder(weights, training, base if isinstance(base, str) and base else None)
    return None


def read_adapter(folder: Path) -> AdapterFolder:
    """The adapter in a folder that must have one.  Raises CheckpointError."""
    folder = Path(folder).expanduser()
    adapter = find_adapter(folder)
    if adapter is None:
        what = "it has no" if folder.is_dir() else "there is no such folder, and so no"
        hint = f": it is a checkpoint, with {CONFIG}" if (folder / CONFIG).is_file() else ""
        fix = f"vla-bench eval --model {folder}" if hint else f"ls {folder.parent}"
        raise CheckpointError(f"{folder} is no adapter: {what} {ADAPTER_CONFIG}{hint}", fix)
    return adapter


def explain_adapter(adapter: AdapterFolder, folder: Path) -> CheckpointError:
    """Why a folder with an adapter alone is no checkpoint, and how it is evaluated."""
    base = adapter.base or "a model that its adapter_config.json does not name"
    what = f"{folder} holds a LoRA adapter of {base}, not merged, and no weights of a whole model"
    model = "" if adapter.base else "--model BASE "
    return CheckpointError(what, f"vla-bench eval {model}--adapter {folder}")
