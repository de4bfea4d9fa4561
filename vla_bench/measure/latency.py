"""`vla-bench latency`: the time of a query, and its ratio to the time without the pruner.

Every variant in turn on each query, twice over all queries: first without instruments, for the times that are reported,
then with timers around the stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from vla_bench.errors import MeasureError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.lengths import Case
from vla_bench.measure import devices
from vla_bench.measure.devices import Peak, TimedDevice
from vla_bench.measure.ready import make_ready
from vla_bench.measure.replay import OWN, PAPER, TimedQuery, cycle_of, replay
from vla_bench.measure.roofline import Products, bound_ms, products, share
from vla_bench.measure.timing import LEAST_WARM_SECONDS, interleave, warm_up
from vla_bench.measure.variants import DENSE, Variant, VariantRunner, parse_variant
from vla_bench.model.costs import padded
from vla_bench.model.speed import Speed
from vla_bench.pruners.names import NONE
from vla_bench.spread import Ratio, Spread, ratio, spread
from vla_bench.suites import load_suites
from vla_bench.trace import Cut

LLM = "decoder"
ON_A_CPU = "cameras,rows"  # speed switches that help there
UNSTEADY = 0.05  # sd / median above which a warning is given
OUTSIDE = 1 / 3  # share of a query's time outside the device time, above which a warning is given


@dataclass(frozen=True)
class LatencyRequest:
    """The options of `vla-bench latency`.

    vs: variants to compare with, as `parse_variant` reads them.
    suite: the suites whose recorded observations are used and whose checkpoint is loaded.
    kept: source of the counts of kept tokens; None: the pruner's own with trained weights, the paper's with random ones.
    speed: speed switches; None for those that help on the device.
    warm_seconds: least time of the warm-up.
    """

    model: str = "nano"
    pruner: str | None = None
    vs: tuple[str, ...] = (DENSE,)
    suite: str = "all"
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
class VariantResult:
    """Times of one variant, in ms.

    wall: observation -> actions on the host, of every query.
    cached_actions: queries answered with a cached action; the fields below are of the queries with a forward pass.
    device: inputs leave the host -> actions are back: without preparing images and scaling actions, but with the gaps in
        which the device waits for the host's next launch.
    llm: the decoder alone, from the instrumented queries; stages: medians by stage.
    kept: image tokens at the end: mean, sd, min, max.
    gflops: executed, mean of a query; bound_ms, of_bound: of the roofline, None where the device's peak is not known.
    """

    name: str
    wall: Spread
    device: Spread
    llm: Spread
    stages: dict[str, float]
    kept: tuple[float, float, int, int]
    gflops: float
    bound_ms: float | None
    of_bound: float | None
    cached_actions: int = 0

    @property
    def tflops_per_s(self) -> float:
        return self.gflops / self.device.median


@dataclass(frozen=True)
class Comparison:
    """Ratios of `slow` to `fast`: of the whole query, and where both ran a forward pass, of the device time and the decoder."""

    slow: str
    fast: str
    wall: Ratio
    device: Ratio
    llm: Ratio


@dataclass(frozen=True)
class Latency:
    """Results of all variants, with the conditions of the measurement.

    warm_queries: queries of the warm-up, a variant; `cold_queries` of them are first runs of the timed queries.
    cold_seconds: time of those first runs, by variant; work that variants share is in the time of the first.
    flags: warnings.
    before, after: the device's identity and state.
    raw: by variant, "wall", "device" and "llm" of every query in ms; None without a forward pass.
    """

    rows: tuple[VariantResult, ...]
    comparisons: tuple[Comparison, ...]
    device: str
    dtype: str
    comparable: bool
    kept: str
    suites: tuple[str, ...]
    warm_queries: int
    cold_queries: int
    cold_seconds: dict[str, float]
    peak: Peak | None
    flags: tuple[str, ...]
    before: dict[str, object]
    after: dict[str, object]
    command: str
    seed: int
    raw: dict[str, dict[str, list[float | None]]]

    def to_dict(self) -> dict[str, object]:
        table = asdict(self)
        for row in table["rows"]:
            row["instead"] = row.pop("cached_actions")
        return table


def measure_latency(
    request: LatencyRequest,
    on_query: Callable[[int, int], None] = lambda *_: None,
    device: TimedDevice | None = None,
) -> Latency:
    """Time every variant.  Raises VlaBenchError before the first query for bad options, MeasureError for impossible times."""
    device = device or devices.device(request.device)
    if request.queries < 2:
        raise UsageError(f"--queries {request.queries}: a spread needs at least 2", "vla-bench latency --queries 200")
    kept = _kept(request)
    suites = tuple(suite.name for suite in load_suites(request.suite))
    speed = str(Speed.parse(request.speed or ("all" if device.torch_device.type == "cuda" else ON_A_CPU)))
    first = Variant(request.model, {DENSE: NONE}.get(request.pruner, request.pruner), speed)
    variants = [first, *(parse_variant(text, request.model, speed) for text in request.vs)]
    seed = request.seed if request.random_weights else None
    runners = make_ready(variants, suites, device, seed, forced=kept != OWN)
    names = [runner.name for runner in runners]
    if len(set(names)) < len(names):
        raise UsageError(f"the same variant twice: {', '.join(names)}", "vla-bench latency --vs dense")
    config = runners[0].model.config
    queries = replay(config, request.queries, kept, request.seed, not request.random_weights, request.from_run, suites)
    before, peak = device.identity(), device.peak(runners[0].dtype)
    timed = [runner.timed() for runner in runners]
    warm = warm_up(timed, cycle_of(queries), device, request.warm_seconds)
    for runner in runners:
        runner.start()
    clock = device.clock_mhz()  # not before the warm-up: an idle device has another clock
    times = interleave(timed, queries, device, on_query)
    clock_after = device.clock_mhz()
    passes = {runner.name: runner.passes for runner in runners}
    laps = _stages(runners, queries)
    again = device.peak(runners[0].dtype)
    if peak is not None and again is not None:
        peak = max(peak, again, key=lambda p: p.flops)
    # A query with a cached action has no device time.
    timings = {name: Timings(each.wall, _where(passes[name], each.device), laps[name]) for name, each in times.items()}
    rows = tuple(_row(runner, timings[runner.name], queries, peak) for runner in runners)
    return Latency(
        rows=rows,
        comparisons=tuple(_compare(runner.name, runners[0].name, timings) for runner in runners[1:]),
        device=str(before.get("device")),
        dtype=str(runners[0].dtype).removeprefix("torch."),
        comparable=device.comparable,
        kept=str(request.from_run) if request.from_run else kept,
        suites=suites,
        warm_queries=warm.queries,
        cold_queries=warm.cold,
        cold_seconds=warm.cold_seconds,
        peak=peak,
        flags=tuple(_flags(rows, device, clock, clock_after)),
        before=before,
        after=device.identity(),
        command=request.command,
        seed=request.seed,
        raw={name: {"wall": each.wall, "device": each.device, "llm": each.llm} for name, each in timings.items()},
    )


def _kept(request: LatencyRequest) -> str:
    if request.from_run is not None and request.kept not in (None, "run"):
        raise UsageError("--from-run and --kept-distribution both set the kept tokens", "leave one of them out")
    if request.from_run is not None:
        return "run"
    return request.kept or (PAPER if request.random_weights else OWN)


@dataclass(frozen=True)
class Timings:
    """One variant's milliseconds, one entry a query.  device, laps: None without a forward pass."""

    wall: list[float]
    device: list[float | None]
    laps: list[dict[str, float] | None]

    @property
    def llm(self) -> list[float | None]:
        return [None if lap is None else lap[LLM] for lap in self.laps]


def _where(passes: list[bool], times: list[float]) -> list[float | None]:
    return [time if taken else None for taken, time in zip(passes, times, strict=True)]


def _known(values: list) -> list:
    return [value for value in values if value is not None]


def _stages(runners: Sequence[VariantRunner], queries: Sequence[TimedQuery]) -> dict[str, list[dict[str, float] | None]]:
    laps: dict[str, list[dict[str, float] | None]] = {runner.name: [] for runner in runners}
    for runner in runners:
        runner.start()
    for query in queries:
        for runner in runners:
            laps[runner.name].append(runner.staged(query))
    return laps


def _row(runner: VariantRunner, times: Timings, queries: Sequence[TimedQuery], peak: Peak | None) -> VariantResult:
    taken, laps = [query for query, lap in zip(queries, times.laps, strict=True) if lap is not None], _known(times.laps)
    if not laps or not _known(times.device):
        raise MeasureError(
            f"{runner.pruner} answered every query with a cached action, and no forward pass was timed",
            "vla-bench latency --vs dense",
        )
    device, kept = spread(_known(times.device)), np.asarray(runner.kept)
    costs = [_products(runner, query, cuts) for query, cuts in zip(taken, runner.cuts, strict=True)]
    gflops = 2e-9 * float(np.mean([sum(product.macs for product in query) for query in costs]))
    bound = None if peak is None else float(np.mean([bound_ms(query, peak, runner.dtype.itemsize) for query in costs]))
    return VariantResult(
        name=runner.name,
        wall=spread(times.wall),
        device=device,
        llm=spread(_known(times.llm)),
        stages={stage: float(np.median([lap[stage] for lap in laps])) for stage in laps[0]},
        kept=(float(kept.mean()), float(kept.std()), int(kept.min()), int(kept.max())),
        gflops=gflops,
        bound_ms=bound,
        of_bound=None if bound is None else share(runner.name, bound, device.median, peak),
        cached_actions=times.device.count(None),
    )


def _products(runner: VariantRunner, query: TimedQuery, cuts: tuple[Cut, ...]) -> list[Products]:
    """Matrix products of one query as it ran."""
    config: VLAConfig = runner.model.config
    prompt = query.prompt or len(runner.processor.prompt(query.observation.instruction))
    speed, case = Speed.parse(runner.variant.speed), Case(config, prompt, cuts)
    lengths = padded(config, case.lengths) if speed.buckets else case.lengths
    return products(config, lengths, runner.pruner_macs(case), speed.rows)


def _compare(slow: str, fast: str, timings: dict[str, Timings]) -> Comparison:
    one, other = timings[slow], timings[fast]
    return Comparison(slow, fast, ratio(one.wall, other.wall), _of_both(one.device, other.device), _of_both(one.llm, other.llm))


def _of_both(slow: list[float | None], fast: list[float | None]) -> Ratio:
    pairs = [pair for pair in zip(slow, fast, strict=True) if None not in pair]
    if not pairs:
        raise MeasureError("no query had a forward pass under both variants", "vla-bench latency --vs dense")
    return ratio(*zip(*pairs, strict=True))


def _flags(rows: Sequence[VariantResult], device: TimedDevice, before: float | None, after: float | None) -> list[str]:
    """Warnings: what makes the numbers doubtful."""
    warnings = []
    if devices.clock_moved(before, after):
        warnings.append(f"the clock moved from {before:.0f} to {after:.0f} MHz while this was measured")
    for row in rows:
        if row.wall.sd > UNSTEADY * row.wall.median:
            warnings.append(f"{row.name}: times spread by {100 * row.wall.sd / row.wall.median:.0f} % of their median")
        outside = 1 - row.device.median / row.wall.median
        if device.comparable and outside > OUTSIDE:
            warnings.append(
                f"{row.name}: {100 * outside:.0f} % of a query are outside the device time: preparing inputs and scaling actions"
            )
        if row.cached_actions:
            warnings.append(
                f"{row.name}: {row.cached_actions} of {row.wall.n} queries had a cached action (forward pass skipped)"
            )
    return warnings
