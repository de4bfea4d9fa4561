"""`vla-bench latency`: times that are true, ratios with intervals, and the three lies that it finds."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import vla_bench.model.shortcuts as shortcuts
from vla_bench.errors import MeasureError, ModelError, NotComparableError, RecordError, UsageError
from vla_bench.interface.lengths import Case, Lengths
from vla_bench.interface.presets import NANO, SEVEN_B
from vla_bench.measure.devices import GPUS, Host, Peak, clock_moved
from vla_bench.measure.forced import ForcedCount, exactly
from vla_bench.measure.latency import LatencyRequest, measure_latency
from vla_bench.measure.ready import check_memory, copied_bytes, make_ready
from vla_bench.measure.replay import replay
from vla_bench.measure.roofline import bound_ms, products, share
from vla_bench.measure.timing import RawTimes, TimedVariant, check_done, interleave, time_query
from vla_bench.measure.variants import Variant, parse_variant
from vla_bench.model.costs import macs
from vla_bench.model.fast import FastVLA
from vla_bench.model.initialise import RANDOM_STATISTICS, random_vla
from vla_bench.model.speed import Speed
from vla_bench.paper import table1
from vla_bench.pruners.lightvla import lightvla_macs
from vla_bench.pruners.registry import make_pruner
from vla_bench.query_record import QueryRecord
from vla_bench.spread import ratio, spread
from vla_bench.suites import load_suites, suite_names
from vla_bench.values import Scope

from .. import nanos
from ..made_checkpoints import TINY
from ..made_runs import record
from ..nano_checkpoints import checkpoint, trained_star


class Sleeper(Host):
    """A device that works on after the actions are back, as with a missing synchronisation."""

    def __init__(self, seconds: float):
        self.seconds = seconds
        self.busy = False

    def stamp(self):
        self.busy = True
        return super().stamp()

    def synchronise(self):
        if self.busy:
            time.sleep(self.seconds)
        self.busy = False


def sleep(name: str, seconds: float) -> TimedVariant:
    return TimedVariant(name, lambda query: query, lambda prepared: time.sleep(seconds), lambda answer, query: None)


# Times


def test_the_parts_of_a_query_are_told_apart():
    samples = RawTimes()
    pause = time.sleep
    time_query(TimedVariant("x", lambda q: pause(0.03), lambda p: pause(0.02), lambda a, q: pause(0.01)), None, Host(), samples)
    assert 60 <= samples.wall[0] and 20 <= samples.device[0] < samples.wall[0] - 39


def test_every_variant_answers_every_query_and_in_turn():
    said = []
    variants = [TimedVariant(n, lambda q, n=n: said.append((n, q)), lambda p: None, lambda a, q: None) for n in "ab"]
    found = interleave(variants, range(20), Host())
    assert [len(found[name].wall) for name in "ab"] == [20, 20]
    pairs = list(zip(said[::2], said[1::2], strict=True))
    assert all({first[0], second[0]} == {"a", "b"} and first[1] == second[1] for first, second in pairs)
    assert {first[0] for first, _ in pairs} == {"a", "b"}  # neither is always first


def test_a_missing_wait_is_found():
    check_done("honest", RawTimes(wall=[10.0] * 5, device=[8.0] * 5, drain=[0.3, 0.01, 0.01, 0.2, 0.01]))
    with pytest.raises(MeasureError, match="quick returns actions before the device is done"):
        interleave([sleep("quick", 0.002)], range(5), Sleeper(0.004))


def test_spread_and_ratio():
    found = spread(np.arange(1, 1002))
    assert (found.median, found.p5, found.p95, found.p99, found.min, found.n) == (501, 51, 951, 991, 1, 1001)
    assert found.low < 501 < found.high and found.high - found.low < 110
    assert spread([1.0, 2.0, 3.0]).p99 is None
    dice = np.random.default_rng(1)
    fast = dice.normal(10, 0.5, 300)
    drift = np.linspace(1, 3, 300)  # a machine that slows down
    found = ratio(fast * 1.5 * drift, fast * drift)
    assert (found.ratio, found.low, found.high) == pytest.approx((1.5, 1.5, 1.5))
    wide, narrow = ratio(dice.normal(15, 3, 300), fast), ratio(dice.normal(15, 0.1, 300), fast)
    assert wide.high - wide.low > narrow.high - narrow.low
    with pytest.raises(ValueError, match="not pairs"):
        ratio([1, 2], [1])


# The bound


BOUNDS = {
    "H20": (59.3, 20.1),
    "A100": (28.2, 9.7),
    "RTX 4090": (53.3, 18.3),
    "H100": (9.0, 4.8),
    "H200": (11.2, 4.1),
    "Thor": (55.1, 54.4),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_bounds_of_the_design(name):
    flops, bandwidth = next((f, b) for part, f, b in GPUS if part == name)
    peak = Peak(flops, bandwidth, name)
    found = tuple(
        bound_ms(products(SEVEN_B, Lengths.even(SEVEN_B, 28, visual), own), peak, 2)
        for visual, own in ((512, 0), (78, lightvla_macs(Case(SEVEN_B, 28))))
    )
    assert found == pytest.approx(BOUNDS[name], abs=0.16)


def test_products_are_what_is_executed():
    for visual, rows in ((512, False), (78, False), (78, True)):
        lengths = Lengths.even(SEVEN_B, 28, visual)
        found = sum(p.macs for p in products(SEVEN_B, lengths, 7, rows))
        assert found == sum(macs(SEVEN_B, lengths, Scope.EXECUTED, 7, rows).values())


def test_an_impossible_speed_is_found():
    peak = Peak(1e12, None, "a card")
    assert share("x", 5.0, 10.0, peak) == 0.5
    with pytest.raises(MeasureError, match="x takes 4.000 ms, and a card allows no less than 5.000 ms"):
        share("x", 5.0, 4.0, peak)


# What is replayed


def test_the_papers_counts():
    queries = replay(NANO, 400, "paper", 0, words=False)
    again, other = (replay(NANO, 400, "paper", seed, words=False) for seed in (0, 1))
    assert len(queries) == 400 and [q.kept for q in queries] == [q.kept for q in again] != [q.kept for q in other]
    for suite in load_suites():
        tokens, length = table1()["LightVLA"].tokens[suite.name], suite.about.prompt_tokens
        of_suite = [q for q in queries if q.observation.episode.suite == suite.name]
        kept = np.array([q.kept for q in of_suite])
        assert {q.prompt for q in of_suite} == {length}
        assert kept.mean() == pytest.approx(tokens.mean / 4, abs=tokens.sd / 12)
        assert kept.std() == pytest.approx(tokens.sd / 4, rel=0.35)
    assert all(image.shape == (128, 128, 3) for q in queries[:8] for image in q.observation.images.values())
    assert replay(SEVEN_B, 1, "paper", 0, False)[0].observation.images["agentview"].shape == (256, 256, 3)


def test_fixed_counts_and_the_pruners_own():
    assert {q.kept for q in replay(NANO, 9, "fixed:20", 0, words=True)} == {20}
    assert {(q.kept, q.prompt) for q in replay(NANO, 9, "own", 0, words=True)} == {(None, None)}
    for wrong in ("fixed:129", "fixed:0", "fixed:", "fixed", "mean"):
        with pytest.raises(UsageError, match="K from 1 to 128"):
            replay(NANO, 1, wrong, 0, True)


def test_counts_of_a_run(tmp_path):
    with pytest.raises(RecordError, match="no run.json"):
        replay(NANO, 1, "run", 0, True, tmp_path)
    answers = [QueryRecord(8 * i, (10 + i, 5), 11 + i, {}, 0.4) for i in range(3)]
    instead = QueryRecord(24, (0, 0), 11, {}, 0.0)
    folder = record(tmp_path / "run", {0: answers, 1: [instead]}, cut_off={2: [QueryRecord(0, (64, 64), 30, {}, 0.8)]})
    assert [(q.kept, q.prompt) for q in replay(NANO, 4, "run", 0, True, folder)] == [(15, 11), (16, 12), (17, 13), (15, 11)]
    with pytest.raises(UsageError, match="no query of suite goal with image tokens"):
        replay(NANO, 1, "run", 0, True, folder, ("goal",))
    with pytest.raises(NotComparableError, match="kept 17 image tokens, and tiny has 8"):
        replay(TINY, 1, "run", 0, True, folder)


def test_variants_are_spelled():
    assert parse_variant("dense", "nano", "rows") == Variant("nano", "none", "rows")
    assert parse_variant("fastv(layer=3)@none", "nano", "rows") == Variant("nano", "fastv(layer=3)", "none")
    assert parse_variant("nano-oft", "nano", "rows") == Variant("nano-oft", None, "rows")
    assert parse_variant("nano-oft:dense@fused", "nano", "rows") == Variant("nano-oft", "none", "fused")
    with pytest.raises(UsageError, match="names no pruner"):
        parse_variant("nano-oft:", "nano", "rows")


def test_a_forced_pruner_keeps_what_it_is_told():
    keep = torch.tensor([[False, True, False, True, True]])
    assert exactly(keep, torch.tensor(2)).tolist() == [[False, True, False, True, False]]
    assert exactly(keep, torch.tensor(4)).tolist() == [[True, True, False, True, True]]
    model, batch = random_vla(NANO, 0).eval(), nanos.inputs(3)
    for name in ("lightvla", "random", "fastv", "lightvla-star-vision"):
        forced = ForcedCount(make_pruner(name))
        model.attach(forced.eval())
        for kept in (33, 5):
            forced.set_count(kept)
            assert nanos.answer(model, batch).tokens.visual == kept
    fast = FastVLA(model, Speed.parse("cameras,rows,fused,buckets"))
    model.attach(forced := ForcedCount(make_pruner("lightvla")).eval())
    for kept in (70, 9, 128):
        forced.set_count(kept)
        one = nanos.sample(batch, 1)
        with torch.inference_mode():
            output = fast(one)
        assert sum(output.kept_per_camera()[0]) == kept
        assert torch.allclose(output.actions, nanos.answer(model, one).actions, atol=2e-5)
    with pytest.raises(UsageError, match="cuts 4 times"):
        ForcedCount(make_pruner("sparsevlm"))


# All of it

stacked = shortcuts.stacked
QUICK = LatencyRequest(model="nano", pruner="lightvla", random_weights=True, queries=8, kept="fixed:20", warm_seconds=0.0)


@pytest.fixture(scope="module")
def measured():
    with nanos.one_thread():
        return measure_latency(QUICK)


def test_what_is_measured(measured):
    pruned, dense = measured.rows
    assert (pruned.name, dense.name) == ("nano:lightvla@cameras,rows", "nano:dense@cameras,rows")
    assert pruned.kept == (20, 0, 20, 20) and dense.kept == (128, 0, 128, 128)
    assert pruned.gflops < dense.gflops and 0 < pruned.of_bound < 1 and 0 < dense.of_bound < 1
    assert {"preprocess", "h2d", "vision", "prune", "decoder", "head", "d2h", "denormalise"} <= pruned.stages.keys()
    (comparison,) = measured.comparisons
    assert (comparison.slow, comparison.fast) == (dense.name, pruned.name)
    for each in (comparison.wall, comparison.device, comparison.llm):
        assert each.low <= each.ratio <= each.high
    assert not measured.comparable and measured.dtype == "float32" and measured.before["threads"] == 1
    assert all(len(times) == 8 for raw in measured.raw.values() for times in raw.values())
    assert measured.cold_queries == 8 and measured.warm_queries == 8 + 20 + 8 and measured.suites == suite_names()
    assert measured.cold_seconds.keys() == {pruned.name, dense.name} and min(measured.cold_seconds.values()) > 0
    assert pruned.cached_actions == dense.cached_actions == 0
    json.dumps(measured.to_dict(), allow_nan=False)


class Liar(Host):
    """Says something else of itself every time."""

    def __init__(self, clocks=(2000.0,), flops=1e15):
        self.clocks, self.flops = list(clocks), flops

    def clock_mhz(self):
        return self.clocks.pop(0) if len(self.clocks) > 1 else self.clocks[0]

    def identity(self):
        return {"device": "a liar"}

    def peak(self, dtype):
        return Peak(self.flops, None, "a slow card")


def test_a_clock_that_moves_is_told():
    assert not clock_moved(1980, 1900) and clock_moved(1980, 1700) and not clock_moved(None, 1)
    with nanos.one_thread():
        found = measure_latency(replace(QUICK, queries=2), device=Liar((2000.0, 1500.0)))
    assert "the clock moved from 2000 to 1500 MHz while this was measured" in found.flags


def test_an_idle_devices_clock_is_none_of_its_own():
    """A GPU idles at a sixth of the clock at which it works."""

    class Idle(Liar):
        worked = False

        def stamp(self):
            self.worked = True
            return super().stamp()

        def clock_mhz(self):
            return 1980.0 if self.worked else 345.0

    with nanos.one_thread():
        assert not [flag for flag in measure_latency(replace(QUICK, queries=2), device=Idle()).flags if "clock" in flag]


def test_what_is_told_of_time_outside_the_model_is_called_so():
    """Between its two stamps a device may well wait for the host: nothing is said of how busy it was."""

    class Gpu(Liar):
        comparable = True

        def between(self, first, second):
            return super().between(first, second) / 10

    with nanos.one_thread():
        found = measure_latency(replace(QUICK, queries=2), device=Gpu())
    (flag,) = [each for each in found.flags if each.startswith(found.rows[0].name) and "inputs" in each]
    assert "of a query are outside the device time" in flag


def test_more_than_the_device_can_do_is_no_result():
    with nanos.one_thread(), pytest.raises(MeasureError, match="a slow card allows no less than"):
        measure_latency(replace(QUICK, queries=2), device=Liar(flops=1e6))


def test_weights_that_do_not_fit_are_not_made():
    class Small(Host):
        def free_memory(self):
            return 2_000_000

    with pytest.raises(ModelError, match="nano has .* GB of weights, and cpu has 0.0 GB free"):
        measure_latency(QUICK, device=Small())


def test_copies_of_the_weights_are_made_once_and_counted(monkeypatch):
    made = []
    monkeypatch.setattr(shortcuts, "stacked", lambda *projections: made.append(copied := stacked(*projections)) or copied)
    dtype = torch.float32
    weights = 4 * sum(p.numel() for p in random_vla(NANO, 0).parameters())

    class Limited(Host):
        free = weights + copied_bytes(NANO, dtype)

        def free_memory(self):
            return self.free

    texts = ("lightvla", "dense", "random", "grid@rows", "dense@none")
    variants = [parse_variant(text, "nano", "cameras,fused") for text in texts]
    with nanos.one_thread():
        runners = make_ready(variants, suite_names(), Limited(), seed=0)
    assert len(made) == 2 * NANO.llm.layers and sum(4 * copy.numel() for copy in made) == copied_bytes(NANO, dtype)
    assert [runner.name.partition(":")[2].partition("@")[0] for runner in runners] == [
        "lightvla",
        "dense",
        "random",
        "grid",
        "dense",
    ]
    assert len({id(runner.model) for runner in runners}) == 1
    Limited.free -= 1
    with pytest.raises(ModelError, match="0.0 GB of weights and 0.0 GB of copies for speed fused") as caught:
        make_ready(variants, suite_names(), Limited(), seed=0)
    assert caught.value.fix == "vla-bench latency --speed cameras,rows"
    check_memory(NANO, Limited(), {"cameras,rows"})
    assert round(copied_bytes(SEVEN_B, torch.bfloat16) / 1e9, 1) == 9.0


# As eval would ask


def test_pruners_hear_of_the_answers_and_may_give_them(measured):
    """spvla goes by the speed of the last answer; with its scheduler four of six queries take no pass."""
    pruner = "spvla(z_thre=0, z_min=1, edges=false)"
    skipping = "spvla(scheduler=true, z_xy_rate=1e9, z_max=1e9)"
    request = replace(QUICK, pruner=pruner, vs=(skipping, "dense"), queries=12, kept="own", suite="goal")
    with nanos.one_thread():
        found = measure_latency(request)
    pruned, skipped, dense = found.rows
    assert pruned.kept[3] == 128 and pruned.kept[2] < 128  # an episode's first query finds the arm at rest
    assert (pruned.cached_actions, skipped.cached_actions, dense.cached_actions) == (0, 8, 0)
    raw = found.raw[skipped.name]
    assert [time is None for time in raw["device"]] == [time is None for time in raw["llm"]]
    assert raw["llm"].count(None) == 8 and None not in raw["wall"]
    assert skipped.wall.n == 12 and skipped.device.n == skipped.llm.n == 4
    assert skipped.wall.median < skipped.device.median and skipped.kept[2] == 128
    assert f"{skipped.name}: 8 of 12 queries had a cached action (forward pass skipped)" in found.flags
    json.dumps(found.to_dict(), allow_nan=False)


def test_an_episode_asked_again_begins_anew():
    """Otherwise the arm would go on at the speed of its last answer."""
    kept = []
    with nanos.one_thread():
        (runner,) = make_ready([parse_variant("spvla(z_thre=0, z_min=1, edges=false)", "nano", "none")], suite_names(), Host(), 0)
        queries = replay(NANO, 3, "own", 0, words=False)
        for _ in range(2):
            runner.start()
            assert None not in [runner.staged(query) for query in queries]
            kept.append(runner.kept)
    assert kept[0] == kept[1] and kept[0][0] == 128 > min(kept[0])


def test_suites_are_chosen(measured, tmp_path):
    queries = replay(NANO, 30, "own", 0, words=True, suites=("goal", "object"))
    assert {query.observation.episode.suite for query in queries} == {"goal", "object"}
    wanted = replace(QUICK, random_weights=False, pruner=None)
    with pytest.raises(UsageError, match="lightvla has one checkpoint per suite, and 4 suites were asked for") as caught:
        measure_latency(replace(wanted, model="lightvla"))
    assert caught.value.instead == {"--suite": "spatial"}
    folder = checkpoint(tmp_path / "goal-only", statistics={"libero_goal_no_noops": RANDOM_STATISTICS["random"]})
    for suite, missing in (("all", "spatial, object, long"), ("object", "object")):
        with pytest.raises(UsageError, match=f"no action statistics for suite {missing}: it has those of") as caught:
            measure_latency(replace(wanted, model=str(folder), suite=suite))
        assert caught.value.instead == {"--suite": "goal"}
    with nanos.one_thread():
        found = measure_latency(replace(wanted, model=str(folder), suite="goal", vs=("grid",), queries=2))
    assert found.suites == ("goal",) and found.rows[0].wall.n == 2
    with pytest.raises(UsageError, match='unknown suite "gaol"'):
        measure_latency(replace(QUICK, suite="gaol"))


def test_pruners_get_the_parameters_that_were_trained(tmp_path):
    folder, queries = trained_star(tmp_path / "star")
    variants = [
        parse_variant(text, str(folder), "none")
        for text in ("lightvla-star-llm1", "plus-random(lightvla-star-llm1)", "lightvla-star-llm2", "dense")
    ]
    own = [Variant(str(folder), None, "none")]
    (query,) = replay(NANO, 1, "own", 0, words=True)
    pruners = []
    for runner in make_ready([*variants, *own], suite_names(), Host()):
        runner.prepare(query)  # its pruner in the model that they share
        pruners.append(runner.model.pruner)
    named, wrapped, other, dense, default = pruners
    for pruner in (named, default):
        assert torch.equal(pruner.queries, queries)
    assert torch.equal(wrapped.inner.queries, queries)
    assert not torch.equal(other.queries, queries) and dense is None


def test_what_cannot_be_timed_is_refused():
    for wrong, why in (
        (replace(QUICK, queries=1), "at least 2"),
        (replace(QUICK, vs=("lightvla",)), "the same variant twice"),
        (replace(QUICK, model="nano-oft"), "need a preset"),
        (replace(QUICK, random_weights=False, model="expert", pruner=None), "is not a model"),
    ):
        with pytest.raises(UsageError, match=why):
            measure_latency(wrong)
