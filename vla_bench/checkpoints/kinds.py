"""What a folder is that holds no checkpoint in the public layout, in the words of whoever made it, and how it becomes one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from vla_bench.checkpoints.adapter_folder import explain_adapter, find_adapter
from vla_bench.checkpoints.files import CONFIG, INDEX, SINGLE, STATISTICS, TOKENIZER
from vla_bench.checkpoints.parts import check_parts
from vla_bench.errors import CheckpointError

PICKLED = "pytorch_model*.bin"
PRISMATIC = ("latest-checkpoint.pt", "step-*.pt")  # what OpenVLA's own training code writes, here or in checkpoints/
CONVERT_PRISMATIC = (
    "python vla-scripts/extern/convert_openvla_weights_to_hf.py --openvla_model_path_or_id {run} "
    "--output_hf_model_local_path OUT   (in a checkout of github.com/openvla/openvla)"
)
# Reads nothing but tensors, and writes them as the one file that is read.
CONVERT_PICKLED = (
    "import glob, torch, safetensors.torch as s; "
    "s.save_file({{k: v.contiguous() for f in sorted(glob.glob({pattern!r})) "
    "for k, v in torch.load(f, map_location='cpu', weights_only=True).items()}}, {single!r})"
)


def check_kind(folder: Path) -> None:
    """Raises CheckpointError for what is no checkpoint, says what it is, and for what could be read in two ways."""
    pickled, prismatic = sorted(folder.glob(PICKLED)), prismatic_files(folder)
    weights = (folder / INDEX).exists() or any(folder.glob("model*.safetensors"))
    if not weights and (adapter := find_adapter(folder)) is not None:
        raise explain_adapter(adapter, folder)
    if not weights and prismatic:
        raise explain_prismatic(prismatic[0])
    if not (folder / CONFIG).is_file():
        raise CheckpointError(f"{folder} is no checkpoint: it has no {CONFIG}", "vla-bench models")
    if not weights and pickled:
        raise explain_pickled(folder, pickled)
    check_parts(folder)
    for pattern, what, chosen in (
        ("dataset_statistics*.json", "action statistics", STATISTICS),
        ("tokenizer*.json", "tokenizers", TOKENIZER),
    ):
        check_one(folder, pattern, what, chosen)


def check_one(folder: Path, pattern: str, what: str, chosen: str) -> None:
    """Raises CheckpointError where several files match that could all be meant."""
    found = sorted(path.name for path in folder.glob(pattern) if path.name != "tokenizer_config.json")
    if len(found) > 1:
        others = [name for name in found if name != chosen]
        moved = shlex.join(["mv", "-n", str(folder / others[0]), str(folder.parent)])
        raise CheckpointError(f"{folder} has {len(found)} {what}: {', '.join(found)}", f"{moved}   (or another of them)")


def explain_file(path: Path) -> CheckpointError:
    """Why a file is no checkpoint."""
    if path.suffix == ".pt" and any(path.match(pattern) for pattern in PRISMATIC):
        return explain_prismatic(path)
    what = f"{path} is a file, and a checkpoint is a folder with {CONFIG} and weights"
    return CheckpointError(what, f"vla-bench eval --model {path.parent}")


def prismatic_files(folder: Path) -> list[Path]:
    return [path for place in (folder, folder / "checkpoints") for pattern in PRISMATIC for path in sorted(place.glob(pattern))]


def explain_prismatic(file: Path) -> CheckpointError:
    run = file.parent.parent if file.parent.name == "checkpoints" else file.parent
    what = f"{file} is a checkpoint in Prismatic's format, as OpenVLA's own training code saves it"
    return CheckpointError(f"{what}; only the format of the Hugging Face hub is read", CONVERT_PRISMATIC.format(run=run))


def explain_pickled(folder: Path, files: Sequence[Path]) -> CheckpointError:
    names = ", ".join(path.name for path in files[:4]) + (" ..." if len(files) > 4 else "")
    code = CONVERT_PICKLED.format(pattern=str(folder / PICKLED), single=str(folder / SINGLE))
    what = f"{folder} has its weights as pickles ({names}), which may run code when they are read; only safetensors are read"
    return CheckpointError(what, shlex.join(["python", "-c", code]))
