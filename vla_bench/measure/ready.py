"""Variants made ready for timing: models loaded, pruners attached, and what several variants can share made once."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from vla_bench.checkpoints.choices import choose_dtype
from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.pruner import Pruner
from vla_bench.measure import sources
from vla_bench.measure.devices import TimedDevice
from vla_bench.measure.forced import ForcedCount
from vla_bench.measure.variants import Variant, VariantRunner
from vla_bench.model.fast import FastVLA
from vla_bench.model.processor import Processor
from vla_bench.model.speed import Speed
from vla_bench.model.vla import VLA
from vla_bench.pruners.registry import make_pruner
from vla_bench.values import Decoding


def make_ready(
    variants: Sequence[Variant], suites: Sequence[str], device: TimedDevice, seed: int | None = None, forced: bool = False
) -> list[VariantRunner]:
    """One runner a variant, in their order.

    seed: of random weights; None for the weights of checkpoints.
    forced: the number of kept image tokens is set before each query.
    Raises VlaBenchError.
    """
    runners: dict[int, VariantRunner] = {}
    for name in dict.fromkeys(variant.model for variant in variants):
        if seed is None:
            source = sources.checkpoint(name, suites, str(device.torch_device), "--model" if name == variants[0].model else None)
        else:
            source = sources.random_weights(name)
        own = [(i, v, _pruner(v.pruner or source.own, forced)) for i, v in enumerate(variants) if v.model == name]
        speeds = {variant.speed for _, variant, _ in own}
        check_memory(source.config, device, speeds)
        model, processor = _load(source, seed, device)
        # Variants of one speed share the copies of the weights and the CUDA graphs, which are kept by pruner.
        fast = {speed: FastVLA(model, Speed.parse(speed)) for speed in speeds}
        for i, variant, pruner in own:
            source.attach(model, pruner)
            runners[i] = VariantRunner(variant, fast[variant.speed], processor, pruner)
    return [runners[i] for i in range(len(variants))]


def check_memory(config: VLAConfig, device: TimedDevice, speeds: set[str]) -> None:
    """Raises ModelError where the weights, and the copies for every speed with fused, do not fit."""
    dtype, _ = choose_dtype(None, device.torch_device)
    with torch.device("meta"):
        weights = sum(p.numel() for p in VLA(config).parameters()) * dtype.itemsize
    copies = copied_bytes(config, dtype) * sum(Speed.parse(speed).fused for speed in speeds)
    free = device.free_memory()
    if free is None or weights + copies <= free:
        return
    kind = device.torch_device.type
    besides = f" and {copies / 1e9:.1f} GB of copies for speed fused" if copies else ""
    without = "cameras,rows,buckets,compile,graphs" if kind == "cuda" else "cameras,rows"
    raise ModelError(
        f"{config.name} has {weights / 1e9:.1f} GB of weights{besides}, and {kind} has {free / 1e9:.1f} GB free",
        f"vla-bench latency --speed {without}" if weights <= free else "vla-bench latency --model nano",
    )


def copied_bytes(config: VLAConfig, dtype: torch.dtype) -> int:
    """Bytes that the speed switch `fused` copies: weights of queries, keys, values, gate and up of every layer."""
    llm = config.llm
    return llm.layers * (3 * llm.width**2 + 2 * llm.width * llm.mlp) * dtype.itemsize


def _load(source: sources.ModelSource, seed: int | None, device: TimedDevice) -> tuple[VLA, Processor]:
    if seed is not None:
        return sources.make_random(source, seed, device.torch_device)
    policy = source.policy()
    if policy.decoding is Decoding.AR:
        what = f"{source.name} decodes token by token, and only a query in one forward pass is timed"
        raise UsageError(what, "vla-bench latency --model nano")
    return policy.model, policy.processor


def _pruner(text: str, forced: bool) -> Pruner | None:
    pruner = make_pruner(text)
    return ForcedCount(pruner) if pruner is not None and forced else pruner
