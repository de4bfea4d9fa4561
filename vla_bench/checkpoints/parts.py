"""The parts of a model that lie in files of their own, beside the weights: `PART--STEP_checkpoint.pt`.

Training code writes one for whatever it trained in full.  A part that this model does not have changes the actions as much as
the weights do, so it is refused by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vla_bench.errors import CheckpointError

ACTION_HEAD, PROPRIO_PROJECTOR, PRUNER = "action_head", "proprio_projector", "pruner"
PARTS = (ACTION_HEAD, PROPRIO_PROJECTOR, PRUNER)
SUFFIXES = (".pt", ".pth", ".bin", ".safetensors")
READ = (".pt", ".safetensors")
# What OpenVLA-OFT's training writes for models that cannot be read here.
OTHERS = {
    "vision_backbone": "the vision backbone of a model with FiLM, which conditions it on the instruction",
    "noisy_action_projector": "a part of a diffusion head",
}


def part_file(folder: Path, part: str) -> Path | None:
    """The file of a head or pruner, by its name; None without one.  Raises CheckpointError where there are several."""
    files = [path for path in _files(folder) if part in path.name and path.suffix in READ]
    if len(files) > 1:
        names = ", ".join(path.name for path in files)
        what = f"{folder} has {len(files)} files of its {part}: {names}"
        raise CheckpointError(what, f"mv -n {files[0]} {folder.parent}   (or another of them)")
    return files[0] if files else None


def find_part(places: Sequence[Path], part: str) -> Path | None:
    """The file of a part in the first of several folders that has one.  Raises CheckpointError."""
    return next((path for folder in places if (path := part_file(folder, part)) is not None), None)


def check_parts(folder: Path) -> None:
    """Raises CheckpointError where the folder has a part that the model does not know, or in a format that is not read."""
    for path in _files(folder):
        known = next((part for part in PARTS if part in path.name), None)
        if known is not None and path.suffix in READ:
            continue
        other = OTHERS.get(path.name.split("--")[0], "a part that this model does not have")
        what = f"a file of type {path.suffix}, and only {' and '.join(READ)} are read" if known else other
        why = "it cannot be read, and without it the actions are others"
        raise CheckpointError(f"{path.name} in {folder} is {what}: {why}", "vla-bench models")


def _files(folder: Path) -> list[Path]:
    """All files named like parts."""
    return sorted(p for p in folder.iterdir() if "checkpoint" in p.name and p.suffix in SUFFIXES and _is_part(p.name))


def _is_part(name: str) -> bool:
    return "--" in name or any(part in name for part in PARTS)
