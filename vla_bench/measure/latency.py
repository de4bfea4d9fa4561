"""`vla-bench latency`: how long a query takes, and how many times as long without the pruner.

Two passes over the same queries, every variant in turn on each: one without any instrument, whose times are the headline,
and one that says where the time goes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from vla_bench.errors import ModelError, UsageError
from vla_bench.measure import devices
from vla_bench.measure.devices import Device, Peak
from vla_bench.measure.replay import OWN, PAPER, Asked, replay
from vla_bench.measure.roofline import bound_ms, products, share
from vla_bench.measure.spread import Ratio, Spread, ratio, spread
from vla_bench.measure.timing import LEAST_WARM_SECONDS, Samples, interleave, warm_up
from vla_bench.measure.variants import DENSE, Asker, Variant, attached, parse_variant
from vla_bench.model.config import VLAConfig
from vla_bench.model.presets import PRESETS, preset
from vla_bench.model.processor import Processor
from vla_bench.model.speed import Speed
from vla_bench.model.vla import VLA
from vla_bench.pruners.base import Pruner
from vla_bench.pruners.lengths import path_of
from vla_bench.pruners.registry import NONE
from vla_bench.suites import SUITE_NAMES

LLM = "decoder"
ON_A_CPU = "cameras,rows"  # what helps there
RESTLESS = 0.05  # sd / median above which a run is flagged
HOST_BOUND = 1.5  # wall / device time above which the device waits for the host


@dataclass(frozen=True)
class LatencyRequest:
    """What the user asked for.

    vs: what the first is compared with, as `parse_variant` reads it.
    kept: where the counts of kept tokens come from; None: the pruner's own with trained weights, the paper's with random ones.
    speed: None: whatever helps on the device.
    warm_seconds: least time of the warm-up.
    """

    model: str = "nano"
    pruner: str | None = None
    vs: tuple[str, ...] = (DENSE,)
    queries: int = 200
    device: str = "auto"
    random_weights: bool = False
    from_run: Path | None = None
    kept: str | None = None
    speed: str | None = None
    seed: int = 0
    command: str = ""
    warm_seconds: float = LEAST_WARM_SECONDS


@dataclass(frozen=True)
class Row:
    """One variant.

    wall: observation -> actions on the host.  device: without preparing pictures and scaling actions.
    llm: the decoder alone, of the instrumented pass; stages: its medians in ms.
    kept: image tokens at the end: mean, sd, min, max.
    gflops: executed, mean of a query; bound_ms, of_bound: the roofline's, None where it is not known.
    """

    name: str
    wall: Spread
    device: Spread
    llm: Spread
    stages: dict[str, float]
    kept: tuple[float, float, int, int]
    gflops: float | None
    bound_ms: float | None
    of_bound: float | None

    @property
    def tflops_per_s(self) -> float | None:
        return None if self.gflops is None else self.gflops / self.device.median


@dataclass(frozen=True)
class Comparison:
    """How many times as long `slow` takes as `fast`: whole query, its device part, and the decoder alone."""

    slow: str
    fast: str
    wall: Ratio
    device: Ratio
    llm: Ratio


@dataclass(frozen=True)
class Latency:
    """What was measured, with its company."""

    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    device: str
    dtype: str
    comparable: bool
    kept: str
    warm_queries: int
    peak: Peak | None
    flags: tuple[str, ...]
    before: dict[str, object]
    after: dict[str, object]
    command: str
    seed: int
    raw: dict[str, dict[str, list[float]]]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def measure_latency(
    request: LatencyRequest,
    on_query: Callable[[int, int], None] = lambda *_: None,
    device: Device | None = None,
) -> Latency:
    """Raises VlaBenchError before the first query for whatever cannot be, and MeasureError for times that cannot be true."""
    device = device or devices.device(request.device)
    if request.queries < 2:
        raise UsageError(f"--queries {request.queries}: a spread needs at least 2", "vla-bench latency --queries 200")
    kept = _kept(request)
    speed = str(Speed.parse(request.speed or ("all" if device.torch_device.type == "cuda" else ON_A_CPU)))
    first = Variant(request.model, {DENSE: NONE}.get(request.pruner, request.pruner), speed)
    variants = [first, *(parse_variant(text, request.model, speed) for text in request.vs)]
    askers = _make(variants, request, device, forced=kept != OWN)
    names = [asker.name for asker in askers]
    if len(set(names)) < len(names):
        raise UsageError(f"the same variant twice: {', '.join(names)}", "vla-bench latency --vs dense")
    config = askers[0].model.config
    queries = replay(config, request.queries, kept, request.seed, not request.random_weights, request.from_run)
    before, clock, peak = device.identity(), device.clock_mhz(), device.peak(askers[0].dtype)
    timed = [asker.timed() for asker in askers]
    warm = warm_up(timed, queries, device, request.warm_seconds)
    times = interleave(timed, queries, device, on_query)
    laps = _stages(askers, queries)
    clock_after, again = device.clock_mhz(), device.peak(askers[0].dtype)
    if peak is not None and again is not None:
        peak = max(peak, again, key=lambda p: p.flops)
    rows = tuple(_row(a, times[a.name], laps[a.name], queries, peak) for a in askers)
    comparisons = tuple(_compare(a.name, askers[0].name, times, laps) for a in askers[1:])
    raw = {name: {"wall": s.wall, "device": s.device, "llm": [lap[LLM] for lap in laps[name]]} for name, s in times.items()}
    return Latency(
        rows=rows,
        comparisons=comparisons,
        device=str(before.get("device")),
        dtype=str(askers[0].dtype).removeprefix("torch."),
        comparable=device.comparable,
        kept=str(request.from_run) if request.from_run else kept,
        warm_queries=warm,
        peak=peak,
        flags=tuple(_flags(rows, device, clock, clock_after)),
        before=before,
        after=device.identity(),
        command=request.command,
        seed=request.seed,
        raw=raw,
    )


def _kept(request: LatencyRequest) -> str:
    if request.from_run is not None and request.kept not in (None, "run"):
        raise UsageError("--from-run and --kept-distribution both say what is kept", "leave one of them out")
    if request.from_run is not None:
        return "run"
    return request.kept or (PAPER if request.random_weights else OWN)


def _make(variants: Sequence[Variant], request: LatencyRequest, device: Device, forced: bool) -> list[Asker]:
    """One model per name, shared by the variants that name it."""
    loaded: dict[str, tuple[VLA, Processor, Pruner | str]] = {}
    askers = []
    for variant in variants:
        if variant.model not in loaded:
            model, processor = (_random if request.random_weights else _trained)(variant.model, request, device)
            own = model.pruner or ("lightvla" if request.random_weights else NONE)
            loaded[variant.model] = model, processor, own
        model, processor, own = loaded[variant.model]
        askers.append(Asker(variant, model, processor, attached(model, variant.pruner or own, forced)))
    return askers


def _random(name: str, request: LatencyRequest, device: Device) -> tuple[VLA, Processor]:
    """The preset's sizes with random weights; its prompts are filled to the length that the instruction would have."""
    from vla_bench.model.choices import choose_dtype
    from vla_bench.model.images import Normalisation
    from vla_bench.model.initialise import RANDOM_STATISTICS, random_vla
    from vla_bench.model.normalisation import choose_statistics
    from vla_bench.model.tokenizer import NANO_TOKENIZER, Tokenizer
    from vla_bench.suites import load_suites

    if name not in PRESETS:
        raise UsageError(f'random weights have the sizes of a preset, {" or ".join(PRESETS)}, and "{name}" is none')
    config = preset(name)
    dtype, _ = choose_dtype(None, device.torch_device)
    _check_memory(config, dtype, device)
    model = random_vla(config, request.seed, None, device.torch_device, dtype).eval()
    suites = load_suites()
    statistics = {suite.name: choose_statistics(RANDOM_STATISTICS, suite.libero_name, None)[1] for suite in suites}
    tokenizer = Tokenizer(NANO_TOKENIZER, PRESETS["nano"].tokens)
    return model, Processor(config, tokenizer, Normalisation(), statistics, suites[0].cameras)


def _check_memory(config: VLAConfig, dtype: torch.dtype, device: Device) -> None:
    """Raises ModelError where the weights alone do not fit."""
    with torch.device("meta"):
        needed = sum(p.numel() for p in VLA(config).parameters()) * dtype.itemsize
    free = device.free_memory()
    if free is not None and needed > free:
        raise ModelError(
            f"{config.name} has {needed / 1e9:.1f} GB of weights, and {device.torch_device.type} has {free / 1e9:.1f} GB free",
            "vla-bench latency --model nano",
        )


def _trained(name: str, request: LatencyRequest, device: Device) -> tuple[VLA, Processor]:
    from vla_bench.policies.checkpoints import make_vla_policy
    from vla_bench.policies.registry import ModelChoice, settle

    choice, _ = settle(ModelChoice(name, request.seed, SUITE_NAMES, device=device.torch_device.type))
    if choice.scripted:
        raise UsageError(f"{choice.model} is no model", "vla-bench latency --model nano")
    policy = make_vla_policy(choice)
    return policy.model, policy.processor


def _stages(askers: Sequence[Asker], queries: Sequence[Asked]) -> dict[str, list[dict[str, float]]]:
    found: dict[str, list[dict[str, float]]] = {asker.name: [] for asker in askers}
    for asker in askers:
        asker.kept.clear()
    for asked in queries:
        for asker in askers:
            found[asker.name].append(asker.staged(asked))
    return found


def _row(asker: Asker, samples: Samples, laps: list[dict[str, float]], queries: Sequence[Asked], peak: Peak | None) -> Row:
    device, kept = spread(samples.device), np.asarray(asker.kept)
    gflops = bound = None
    costs = [_products(asker, asked, int(k)) for asked, k in zip(queries, kept, strict=True)]
    if None not in costs:
        gflops = 2e-9 * float(np.mean([sum(p.macs for p in found) for found in costs]))
        if peak is not None:
            bound = float(np.mean([bound_ms(found, peak, asker.dtype.itemsize) for found in costs]))
    return Row(
        name=asker.name,
        wall=spread(samples.wall),
        device=device,
        llm=spread([lap[LLM] for lap in laps]),
        stages={stage: float(np.median([lap[stage] for lap in laps])) for stage in laps[0]},
        kept=(float(kept.mean()), float(kept.std()), int(kept.min()), int(kept.max())),
        gflops=gflops,
        bound_ms=bound,
        of_bound=None if bound is None else share(asker.name, bound, device.median, peak),
    )


def _products(asker: Asker, asked: Asked, kept: int):
    """None for a pruner whose path the input decides."""
    config: VLAConfig = asker.model.config
    prompt = asked.prompt or len(asker.processor.prompt(asked.observation.instruction))
    try:
        path = path_of(asker.pruner, config, prompt, kept)
    except UsageError:
        return None
    speed = Speed.parse(asker.variant.speed)
    lengths = path.lengths.padded(config) if speed.buckets else path.lengths
    return products(config, lengths, path.own, speed.rows)


def _compare(slow: str, fast: str, times: dict[str, Samples], laps: dict[str, list[dict[str, float]]]) -> Comparison:
    return Comparison(
        slow,
        fast,
        ratio(times[slow].wall, times[fast].wall),
        ratio(times[slow].device, times[fast].device),
        ratio([lap[LLM] for lap in laps[slow]], [lap[LLM] for lap in laps[fast]]),
    )


def _flags(rows: Sequence[Row], device: Device, before: float | None, after: float | None) -> list[str]:
    """What makes the numbers doubtful."""
    found = []
    if devices.clock_moved(before, after):
        found.append(f"the clock moved from {before:.0f} to {after:.0f} MHz while this was measured")
    for row in rows:
        if row.wall.sd > RESTLESS * row.wall.median:
            found.append(f"{row.name}: times spread by {100 * row.wall.sd / row.wall.median:.0f} % of their median")
        if device.comparable and row.wall.median > HOST_BOUND * row.device.median:
            found.append(f"{row.name}: {row.wall.median / row.device.median:.1f} times as long for the host as on the device")
    return found
