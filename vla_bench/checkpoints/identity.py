"""The identity of a checkpoint: one hash of everything that decides its actions.  Read without torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

from vla_bench.checkpoints.adapter_folder import AdapterFolder
from vla_bench.checkpoints.files import (
    CONFIG,
    INDEX,
    PREPROCESSOR,
    STATISTICS,
    TOKENIZER,
    download_command,
    find_file,
    shards,
)
from vla_bench.checkpoints.parts import PARTS, find_part
from vla_bench.documents import check_regular
from vla_bench.errors import CheckpointError

HASHED_WHOLE = 64 << 20  # bytes up to which a file is hashed whole; of a larger one, its head and evenly spaced samples
HEAD, SAMPLE, SAMPLES = 1 << 20, 4096, 256


def identity(folder: Path, adapter: AdapterFolder | None = None) -> str:
    """SHA-256 of a checkpoint, its adapter and what was trained with that, in a second even for 15 GB.

    Files up to 64 MiB are hashed whole; of a larger one its name, size, first MiB (with the header) and 256 samples over its
    length: two trainings always differ there, a few changed bytes may not.
    """
    places = (folder,) if adapter is None else (adapter.training, folder)
    paths = [path for name in (CONFIG, INDEX) if (path := folder / name).exists()]
    paths += [path for name in (STATISTICS, PREPROCESSOR, TOKENIZER) if (path := find_file(places, name)) is not None]
    paths += [header.path for header in shards(folder)]
    paths += [path for part in PARTS if (path := find_part(places, part)) is not None]
    paths += [] if adapter is None else adapter.files
    digest = hashlib.sha256()
    for path in paths:
        try:
            check_regular(path)
            _add(path, digest)
        except OSError as error:
            fix = download_command(path.parent, path.name)
            raise CheckpointError(f"cannot read {path}: {error.strerror}", fix) from error
    return digest.hexdigest()


def _add(path: Path, digest: hashlib._Hash) -> None:
    size = path.stat().st_size
    digest.update(f"{path.name} {size}\n".encode())
    with open(path, "rb") as file:
        if size <= HASHED_WHOLE:
            digest.update(file.read())
            return
        digest.update(file.read(HEAD))
        for number in range(SAMPLES):
            file.seek(number * (size - SAMPLE) // (SAMPLES - 1))
            digest.update(file.read(SAMPLE))
