"""The files of a checkpoint in the public layout, read without torch and without weights.

config.json                            what the network is, see config_file.py
model-0000X-of-0000N.safetensors       the weights LoRA adapts; model.safetensors.index.json lists them
PART--STEP_checkpoint.pt               action head, proprio projector, trainable pruner: parts.py
dataset_statistics.json, preprocessor_config.json, tokenizer.json
tokenizer.model, tokenizer_config.json, ...   the tokenizer for other code; ours reads tokenizer.json alone
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta, Struct

from vla_bench.documents import LARGEST, check_regular, decode, read_object, typed
from vla_bench.errors import CheckpointError

CONFIG = "config.json"
SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
STATISTICS = "dataset_statistics.json"
PREPROCESSOR = "preprocessor_config.json"
TOKENIZER = "tokenizer.json"
TOKENIZER_FILES = (TOKENIZER, "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")

LONGEST_HEADER = 100_000_000  # safetensors' own limit
Shape = tuple[int, ...]


class _Entry(Struct):
    """What a header says of a tensor."""

    dtype: str
    shape: list[Annotated[int, Meta(ge=0, le=2**48)]]
    data_offsets: tuple[Annotated[int, Meta(ge=0, le=2**48)], Annotated[int, Meta(ge=0, le=2**48)]]


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
        return read_object(path, LARGEST)
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent} has no {path.name}", fix) from None
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror}", fix) from error
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON: {error}", fix) from error


def find_file(places: Sequence[Path], name: str) -> Path | None:
    """A file in the first of several folders that has it; None where none has."""
    return next((folder / name for folder in places if (folder / name).is_file()), None)


def read_header(path: Path) -> Header:
    """The header of a safetensors file, whose length is checked.  Raises CheckpointError."""
    fix = download_command(path.parent, path.name)
    try:
        check_regular(path)
        with open(path, "rb") as file:
            size = path.stat().st_size
            start = file.read(8)
            length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
            if 8 + length > size:
                raise CheckpointError(f"{path} is cut off: {size} bytes do not hold its header", fix)
            if length > LONGEST_HEADER:
                raise CheckpointError(f"{path} has a header of {length:,} bytes, and at most {LONGEST_HEADER:,} are read", fix)
            table = typed(decode(file.read(length)), dict[str, dict[str, Any]])
        table.pop("__metadata__", None)
        entries = typed(table, dict[str, _Entry])
        shapes = {name: tuple(entry.shape) for name, entry in entries.items()}
        expected = 8 + length + max((entry.data_offsets[1] for entry in entries.values()), default=0)
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
    """Headers of the files with the model's weights: those in the index, or the single file.

    Raises CheckpointError for what is missing or damaged, and where there are two sets of weights: readers differ in which
    of them they take.
    """
    index = folder / INDEX
    if not index.exists():
        if not (folder / SINGLE).exists():
            raise CheckpointError(f"{folder} has no weights: neither {INDEX} nor {SINGLE}", download_command(folder))
        _check_one_set(folder, [SINGLE], SINGLE)
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
    _check_one_set(folder, names, INDEX)
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


def _check_one_set(folder: Path, names: list[str], listed: str) -> None:
    """Raises CheckpointError where weights lie beside those in `names`, which the file `listed` is or lists."""
    others = sorted(path.name for path in folder.glob("model*.safetensors") if path.name not in names)
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        what = f"{folder} has two sets of weights: those of {listed}, and {others[0]}{more}"
        old = " ".join(str(folder / name) for name in others[:4])
        raise CheckpointError(what, f"mv -n {old} {folder.parent}   (or {listed} with its files, if these are the old ones)")
