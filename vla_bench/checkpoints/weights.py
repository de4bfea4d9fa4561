"""Weights from files into a model that was built without memory, one tensor at a time.

Names, shapes and memory of the network are checked with the files' headers before the first weight is read; those of the
heads afterwards, since a `.pt` has no header.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from vla_bench import environment
from vla_bench.checkpoints.files import Shape, download_command, read_header, shards
from vla_bench.checkpoints.parts import ACTION_HEAD, PROPRIO_PROJECTOR, PRUNER, find_part
from vla_bench.checkpoints.pickled import is_plain, read_pickled
from vla_bench.errors import CheckpointError, ModelError
from vla_bench.model.vla import VLA

DDP_PREFIX = "module."  # the heads were saved from inside DistributedDataParallel
DIFFUSION = "noise_predictor"  # the network inside OpenVLA-OFT's diffusion head
LISTED = 10
KNOWN = "vla-bench models"  # an intact file of another model: copying it again would not help


def load_weights(model: VLA, places: Sequence[Path], device: torch.device, dtype: torch.dtype) -> None:
    """Fill a VLA that was built on the meta device: the network from the shards, the heads from their own files.

    places: folders whose heads are taken, the first that has one; the last of them has the shards.
    Raises CheckpointError for files that are damaged or do not fit, ModelError for too little memory.
    """
    headers = shards(places[-1])
    stored = {name: shape for header in headers for name, shape in header.shapes.items()}
    check_fit(_shapes(model.openvla.state_dict()), stored, f"{places[-1]}")
    check_memory(model, device, dtype)
    state: dict[str, Tensor] = {}
    for header in headers:
        state.update(_read_safetensors(header.path, device, dtype))
    model.openvla.load_state_dict(state, assign=True)
    for module, part in ((model.action_head, ACTION_HEAD), (model.proprio_projector, PROPRIO_PROJECTOR)):
        if module is not None:
            load_part(module, places, part, device, dtype)
    model.openvla.language_model.reset_rotary(device)


def load_part(module: nn.Module, places: Sequence[Path], part: str, device: torch.device, dtype: torch.dtype) -> Path:
    """Fill a head, or a trainable pruner, from its one file in the checkpoint; returns that file.  Raises CheckpointError."""
    path = find_part(places, part)
    if path is None:
        folder = places[-1]
        raise CheckpointError(
            f"{folder} has no {part}: no file named like {part}--STEP_checkpoint.{'safetensors' if part == PRUNER else 'pt'}",
            download_command(folder),
        )
    reader = _read_safetensors if path.suffix == ".safetensors" else _read_pt
    state = reader(path, device, dtype)
    if any(DIFFUSION in name for name in state):
        raise CheckpointError(f"{path} is a diffusion head, and only an L1 head can be read", KNOWN)
    check_fit(_shapes(module.state_dict()), _shapes(state), str(path))
    module.load_state_dict(state, assign=True)
    return path


def check_fit(expected: Mapping[str, Shape], stored: Mapping[str, Shape], where: str) -> None:
    """Compare names and shapes of tensors with the model's.  Raises CheckpointError with the first ten that differ."""
    wrong = [
        f"{name} {list(stored[name])}, not {list(shape)}" for name, shape in expected.items() if stored.get(name, shape) != shape
    ]
    problems = {
        "missing": sorted(expected.keys() - stored.keys()),
        "unexpected": sorted(stored.keys() - expected.keys()),
        "of another shape": wrong,
    }
    lines = [
        f"  {len(names)} {what}: {', '.join(names[:LISTED])}{' ...' if len(names) > LISTED else ''}"
        for what, names in problems.items()
        if names
    ]
    if lines:
        raise CheckpointError("\n".join([f"the tensors of {where} are not this model's ({len(expected)}):", *lines]), KNOWN)


def check_memory(model: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Raises ModelError where the weights of `model` and one query do not fit into the device's free memory."""
    counts = [parameter.numel() for parameter in model.parameters()]
    # The largest tensor once more, in float32: it is cast on its way, and a query's activations need about as much.
    needed = sum(counts) * dtype.itemsize + 4 * max(counts)
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else environment.available_memory()
    if free is not None and needed > free:
        smaller = "--device cpu" if device.type == "cuda" else "--model nano"
        raise ModelError(
            f"{sum(counts):,} parameters in {dtype_name(dtype)} need {needed / 1e9:.1f} GB,"
            f" and {device} has {free / 1e9:.1f} GB free",
            f"vla-bench eval {smaller}",
        )


def check_finite(tensor: Tensor, name: str, where: str) -> None:
    """Raises CheckpointError for a tensor with a NaN or an infinity."""
    # Minimum and maximum in one pass: both are NaN as soon as any value is.
    if tensor.numel() and not torch.stack(torch.aminmax(tensor)).isfinite().all():
        raise CheckpointError(
            f"{where} has weights that are not finite in {dtype_name(tensor.dtype)}: {name}", download_command(Path(where).parent)
        )


def dtype_name(dtype: torch.dtype) -> str:
    """Such as "bfloat16"."""
    return str(dtype).removeprefix("torch.")


def _read_safetensors(path: Path, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    header = read_header(path)
    state = {}
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            for name in header.shapes:
                stored = file.get_tensor(name)
                _check_plain(stored, name, path)
                # Always a copy: the tensor is a view into the file, which may be replaced meanwhile.
                state[name] = stored.to(device, dtype, copy=True)
                check_finite(state[name], name, str(path))
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged: {error}", download_command(path.parent, path.name)) from error
    return state


def _read_pt(path: Path, device: torch.device, dtype: torch.dtype) -> dict[str, Tensor]:
    fix = download_command(path.parent, path.name)
    state = read_pickled(path, fix)
    if not isinstance(state, dict) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise CheckpointError(f"{path} has other content than named tensors", fix)
    named: dict[str, Tensor] = {}
    for given, tensor in state.items():
        name = given.removeprefix(DDP_PREFIX)
        if name in named:
            raise CheckpointError(f"{path} has {name} twice, as {name} and {DDP_PREFIX}{name}: which counts is not known", fix)
        _check_plain(tensor, name, path)
        named[name] = tensor.to(device, dtype)
        check_finite(named[name], name, str(path))
    return named


def _check_plain(tensor: Tensor, name: str, path: Path) -> None:
    if not is_plain(tensor):
        what = (
            f"{path}: {name} is {dtype_name(tensor.dtype)}, {tensor.layout}, on {tensor.device}: no dense tensor of real numbers"
        )
        raise CheckpointError(what, KNOWN)


def _shapes(state: Mapping[str, Tensor]) -> dict[str, Shape]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
