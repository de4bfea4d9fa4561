"""The folder of a checkpoint: a local one, or a repository of the Hugging Face hub, downloaded once into the hub's cache."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vla_bench.checkpoints.adapter_folder import ADAPTER_CONFIG, SUBFOLDER
from vla_bench.checkpoints.files import TOKENIZER_FILES
from vla_bench.checkpoints.kinds import check_kind, explain_file
from vla_bench.errors import CheckpointError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
COMMIT = re.compile(r"[0-9a-f]{40}")
# By hub id: the commit that this process took first; a newer one must not come between two readings.
_taken: dict[str, str] = {}
WANTED = (
    # The repositories also have the weights of unmerged adapters and training state, which are not needed.
    "config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "*--*checkpoint.pt",  # also parts that cannot be read: they are refused, not passed over
    "*--*checkpoint.safetensors",
    "dataset_statistics.json",
    "preprocessor_config.json",
    *TOKENIZER_FILES,
    ADAPTER_CONFIG,  # a repository may hold nothing but an adapter
    f"{SUBFOLDER}/{ADAPTER_CONFIG}",
)
OTHER_FOLDERS = ("*/*--*",)  # parts of other checkpoints, in folders of their own


def is_hub_id(model: str | Path) -> bool:
    """Whether `model` is a repository of the hub: of the form owner/name, and not a local folder."""
    return HUB_ID.fullmatch(str(model)) is not None and not Path(model).expanduser().exists()


def local_folder(model: str | Path) -> Path:
    """The folder of a checkpoint, given the folder or a hub id "owner/name".  Raises CheckpointError."""
    # Links are not resolved: the model family can follow from a link's name.
    hub = is_hub_id(model)
    folder = _download(str(model)) if hub else Path(os.path.abspath(Path(model).expanduser()))
    if folder.is_file():
        raise explain_file(folder)
    if not folder.is_dir():
        raise CheckpointError(f'no checkpoint "{model}": it is neither a folder nor a hub id like owner/name', "vla-bench models")
    check_kind(folder)
    return folder


def revision(folder: Path) -> str | None:
    """The commit of a folder in the hub's cache, where snapshots are named after theirs; None elsewhere."""
    return folder.name if folder.parent.name == "snapshots" and COMMIT.fullmatch(folder.name) else None


def _download(hub_id: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, OfflineModeIsEnabled, RepositoryNotFoundError

    download = f"hf download {hub_id}"
    try:
        options = {"allow_patterns": list(WANTED), "ignore_patterns": list(OTHER_FOLDERS), "revision": _taken.get(hub_id)}
        folder = Path(snapshot_download(hub_id, **options))
    except GatedRepoError as error:
        raise CheckpointError(
            f"{hub_id} requires that you accept its terms on https://huggingface.co/{hub_id}", "hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"the hub has no model {hub_id}, and there is no such local folder", "vla-bench models") from error
    except (LocalEntryNotFoundError, OfflineModeIsEnabled) as error:
        why = "HF_HUB_OFFLINE is set" if os.environ.get("HF_HUB_OFFLINE") else "the hub does not answer"
        raise CheckpointError(
            f"{hub_id} is neither a local folder nor in the hub's cache, and {why}", f"{download}   (15 GB, with a connection)"
        ) from error
    except (OSError, ValueError) as error:
        # huggingface_hub's errors are OSErrors or ValueErrors; the connection's own come wrapped in them.
        what = f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no reason given'}"
        raise CheckpointError(f"cannot get {hub_id} from the hub: {what}", download) from error
    if (commit := revision(folder)) is not None:
        _taken[hub_id] = commit
    return folder
