"""The files of a checkpoint in the public layout, read without torch and without weights.

config.json                            what the network is, see config_file.py
model-0000X-of-0000N.safetensors       the weights LoRA adapts; model.safetensors.index.json lists them
action_head--STEP_checkpoint.pt        the L1 head; likewise proprio_projector--STEP_checkpoint.pt
pruner--STEP_checkpoint.safetensors    a trainable pruner: ours, the public checkpoints have none
dataset_statistics.json, preprocessor_config.json, tokenizer.json
tokenizer.model, tokenizer_config.json, ...   the tokenizer for other code; ours reads tokenizer.json alone
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path

from vla_bench.errors import CheckpointError

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
STATISTICS = "dataset_statistics.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_FILES = (TOKENIZER, "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
ACTION_HEAD, PROPRIO_PROJECTOR, PRUNER = "action_head", "proprio_projector", "pruner"
PARTS = (ACTION_HEAD, PROPRIO_PROJECTOR, PRUNER)
PART_SUFFIXES = (".pt", ".safetensors")

HASHED_WHOLE = 64 << 20  # bytes up to which a file is hashed whole; of a larger one, its head and evenly spaced samples
HEAD, SAMPLE, SAMPLES = 1 << 20, 4096, 256

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """Names and shapes in the header of a safetensors file."""

    path: Path
    shapes: dict[str, Shape]


def origin(folder: Path) -> str:
    """`owner/name` of a snapshot in the hub's cache, else the folder's own name."""
    repository = folder.parent.parent.name
    if folder.parent.name == "snapshots" and repository.startswith("models--"):
        return repository.removeprefix("models--").replace("--", "/")
    return folder.name


def download_command(folder: Path, name: str = "") -> str:
    """The command that replaces a file of a checkpoint."""
    source = origin(folder)
    if "/" in source:
        return f"hf download {source} {name} --force-download".replace("  ", " ")
    return f"copy {name or 'the checkpoint'} to {folder} again from its source"


def read_json(path: Path) -> dict:
    """A JSON object.  Raises CheckpointError."""
    fix = download_command(path.parent, path.name)
    try:
        table = json.loads(path.read_text(encoding="utf-8-sig"))  # some editors put a byte order mark first
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} has no {path.name}", fix) from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}", fix) from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}", fix) from error
    if not isinstance(table, dict):
        raise CheckpointError(f"{path} has a {type(table).__name__}, not an object", fix)
    return table


def read_header(path: Path) -> Header:
    """The header of a safetensors file, whose length is checked.  Raises CheckpointError."""
    fix = download_command(path.parent, path.name)
    try:
        with open(path, "rb") as file:
            size = path.stat().st_size
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            if 8 + length > size:
                raise CheckpointError(f"{path} is cut off: {size} bytes do not hold its header", fix)
            table = json.loads(file.read(length))
        table.pop("__metadata__", None)
        shapes = {name: tuple(entry["shape"]) for name, entry in table.items()}
        expected = 8 + length + max((entry["data_offsets"][1] for entry in table.values()), default=0)
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} has no {path.name}", fix) from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}", fix) from error
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error!r}", fix) from error
    if size != expected:
        raise CheckpointError(f"{path} is damaged: it has {size} bytes, and its header requires {expected}", fix)
    return Header(path, shapes)


def shards(folder: Path) -> list[Header]:
    """Headers of the files with the model's weights: those in the index, or the single file.  Raises CheckpointError."""
    index = folder / INDEX
    if not index.exists():
        if not (folder / SINGLE).exists():
            raise CheckpointError(f"{folder} has no weights: neither {INDEX} nor {SINGLE}", download_command(folder))
        return [read_header(folder / SINGLE)]
    listed = read_json(index).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise CheckpointError(f'{index} has no "weight_map"', download_command(folder, INDEX))
    names = sorted(set(listed.values()))
    for name in names:
        if Path(name).name != name or "\\" in name or not name.endswith(".safetensors"):
            raise CheckpointError(
                f'{index} names "{name}", which is not a safetensors file beside it', download_command(folder, INDEX)
            )
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise CheckpointError(
            f"{folder} lacks {len(missing)} of {len(names)} weight files: {', '.join(missing[:10])}",
            download_command(folder, missing[0]),
        )
    headers = [read_header(folder / name) for name in names]
    held = [(name, header.path.name) for header in headers for name in header.shapes]
    different = sorted(name for name, _ in set(held) ^ set(listed.items()))
    if different:
        raise CheckpointError(
            f"{index} and the weight files disagree about {len(set(different))} tensors, first {different[0]}",
            download_command(folder),
        )
    return headers


def part_file(folder: Path, part: str) -> Path | None:
    """The file of a head or pruner, by its name; None without one.  Raises CheckpointError where there are several."""
    files = sorted(p for p in folder.iterdir() if part in p.name and "checkpoint" in p.name and p.suffix in PART_SUFFIXES)
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        raise CheckpointError(f"{folder} has {len(files)} files of its {part}: {names}", f"move all but one out of {folder}")
    return files[0] if files else None


def identity(folder: Path, adapter: Path | None = None) -> str:
    """SHA-256 of a checkpoint and its adapter, in a second even for 15 GB.

    Files up to 64 MiB are hashed whole; of a larger one its name, size, first MiB (with the header) and 256 samples over its
    length: two trainings always differ there, a few changed bytes may not.
    """
    names = (CONFIG, INDEX, STATISTICS, "preprocessor_config.json", TOKENIZER)
    paths = [folder / name for name in names if (folder / name).exists()]
    paths += [header.path for header in shards(folder)]
    paths += [path for part in PARTS if (path := part_file(folder, part)) is not None]
    if adapter is not None:
        paths += sorted(path for path in adapter.iterdir() if path.suffix in (".json", ".safetensors"))
    digest = hashlib.sha256()
    for path in paths:
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode())
        with open(path, "rb") as file:
            if size <= HASHED_WHOLE:
                digest.update(file.read())
                continue
            digest.update(file.read(HEAD))
            for number in range(SAMPLES):
                file.seek(number * (size - SAMPLE) // (SAMPLES - 1))
                digest.update(file.read(SAMPLE))
    return digest.hexdigest()
