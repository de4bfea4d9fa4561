"""Resolves `--model auto`: the best policy that this machine can run, and the reason for the choice."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from vla_bench.checkpoints.known import NANO, bundled, cached
from vla_bench.suites import load_suite, original_name

FREE_BYTES = 18e9  # 15.1 GB of bfloat16 weights, and room for a batch of queries
HUB_TIMEOUT_S = 5


def resolve_auto(suites: Sequence[str], device: str = "auto") -> tuple[str, str]:
    """(model name, reason in one line): the suite's LightVLA where a GPU has room for it, else the bundled nano, else the expert.

    Args:
        suites: short names of the suites to act in.
        device: "cpu" excludes the GPU, "cuda:1" means the second.
    """
    fits, reason = _lightvla_fits(suites, device)
    if fits:
        return "lightvla", f"auto -> lightvla: {reason}"
    if bundled(NANO) is not None:
        return "nano", f"auto -> nano: {reason}"
    return "expert", f"auto -> expert: {reason}, and no bundled nano weights yet"


def _lightvla_fits(suites: Sequence[str], device: str) -> tuple[bool, str]:
    """Whether LightVLA can run, and the reason.  Cheap checks come first; the hub is queried only where it decides."""
    if device == "cpu":
        return False, "--device cpu"
    originals = {original_name(suite) for suite in suites}
    if len(originals) != 1:
        return False, f"{len(originals)} suites, and LightVLA has one checkpoint per suite"
    checkpoint = load_suite(originals.pop()).checkpoints.get("lightvla")
    if checkpoint is None:
        return False, f"no LightVLA checkpoint for {suites[0]}"
    gpu = cuda_memory(device)
    if gpu is None:
        return False, "no CUDA device"
    name, free = gpu
    if free < FREE_BYTES:
        return False, f"{name} has {free / 1e9:.1f} GB free and {FREE_BYTES / 1e9:.0f} GB are needed"
    available, where = checkpoint_at_hand(checkpoint.hub)
    return available, f"{checkpoint.hub} {where}"


def cuda_memory(device: str = "auto") -> tuple[str, int] | None:
    """Name and free bytes of the CUDA device, the first one where the name says none; None where there is none.

    torch takes seconds to import, so it is imported only on machines with a driver.
    """
    if shutil.which("nvidia-smi") is None and not Path("/dev/nvidia0").exists():
        return None
    try:
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    index = int(device.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        return None
    free, _ = torch.cuda.mem_get_info(index)
    return torch.cuda.get_device_name(index), free


def checkpoint_at_hand(hub: str) -> tuple[bool, str]:
    """Whether the checkpoint `hub` is available, and where it is or why it is not."""
    if cached(hub):
        return True, "is in the hub cache"
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(hub, timeout=HUB_TIMEOUT_S)
    except Exception as error:  # noqa: BLE001  each release of the hub's client has its own errors; all mean "not from there"
        return False, f"is not in the hub cache, and the hub did not answer ({type(error).__name__})"
    return True, "is on the hub"
