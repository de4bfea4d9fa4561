"""Two counters that watch the real model say what the closed form says, for every pruner that needs no values."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from vla_bench.errors import MeasureError, UsageError
from vla_bench.interface.lengths import Case
from vla_bench.interface.presets import NANO, SEVEN_B
from vla_bench.measure import counters
from vla_bench.measure.counted import counted
from vla_bench.measure.flops import Counter, FlopsRequest, count
from vla_bench.measure.meta import FixedCounts, MetaVLA, key_of, meta_query
from vla_bench.model.query_costs import pruner_macs, query_macs
from vla_bench.pruners.lightvla import LightVLA
from vla_bench.pruners.registry import choosing
from vla_bench.values import Scope

BY_VALUE = ("pool", "sparsevlm", "vla-cache", "team-vla")  # cannot be watched without values
FIXED = ("blind",)  # keep as many as they keep
ARGUMENTS = (
    "fastv(rater=prefill, layer=3)",
    "fastv(rater=last)",
    "fastv(rater=action, quota=global)",
    "flashvla-ics(quota=global)",
    "divprune(quota=global)",
    "efficientvla-tokens(direction=v2t)",
    "efficientvla-tokens(quota=global, key=7)",
    "efficientvla-tokens(alpha=1)",
    "lightvla-star-llm2(queries=9)",
    "vla-pruner(rater=prefill, layer=4)",
    "vla-adp(split=0.4/0.6)",
    "inverse(fastv)",
    "plus-random(score-siglip)",
)


def pruned(config, pruner: str, kept: int):
    return counted(pruner, config, () if pruner in FIXED else (kept,), always=True)


def closed(config, pruner: str, prompt: int, kept: int, scope: Scope) -> dict[str, int]:
    ready = pruned(config, pruner, kept)
    costs = query_macs(ready.pruner, Case(config, prompt, ready.cuts), scope)
    return {name: 2 * cost for name, cost in costs.items()}


def by_torch(config, pruner: str, prompt: int, kept: int, scope: Scope = Scope.MODEL) -> dict[str, int]:
    with torch.no_grad():
        return counters.count_torch(meta_query(config, pruned(config, pruner, kept), scope, prompt))


def test_nothing_is_missed_in_any_scope():
    for scope in (Scope.REFERENCE, Scope.EXECUTED):
        for pruner, kept in (("none", 128), ("spvla", 50)):
            counted, expected = by_torch(NANO, pruner, 12, kept, scope), closed(NANO, pruner, 12, kept, scope)
            assert {**dict.fromkeys(expected, 0), **counted} == expected, (scope, pruner)


@pytest.mark.parametrize("reach", [0, 2])
@pytest.mark.parametrize("scope", list(Scope))
def test_patches_that_see_only_near_ones_cost_less(reach, scope):
    near = replace(NANO, reach=reach)
    counted, expected = by_torch(near, "spvla", 12, 50, scope), closed(near, "spvla", 12, 50, scope)
    assert {**dict.fromkeys(expected, 0), **counted} == expected
    assert expected["dino"] < 0.8 * closed(NANO, "spvla", 12, 50, scope)["dino"]


@pytest.mark.parametrize("pruner", ["none", *(name for name in choosing() if name not in BY_VALUE), *ARGUMENTS])
def test_every_pruner_costs_what_the_closed_form_says(pruner):
    expected = closed(NANO, pruner, 9, 31 if pruner != "none" else 128, Scope.MODEL)
    counted = by_torch(NANO, pruner, 9, 31 if pruner != "none" else 128)
    assert {**dict.fromkeys(expected, 0), **counted} == expected


@pytest.mark.parametrize(
    "pruner", ["fastv", "vla-pruner", "divprune", "vla-adp", "score-lightvla", "efficientvla-tokens", "spvla"]
)
def test_where_everything_stays_only_what_was_asked_for_is_paid(pruner):
    expected = closed(NANO, pruner, 9, 128, Scope.MODEL)
    assert {**dict.fromkeys(expected, 0), **by_torch(NANO, pruner, 9, 128)} == expected


class Whole(FixedCounts):
    """Keeps what the pruner inside keeps."""

    def select(self, view):
        return self.counted_call(self.inner.select, view)


@pytest.mark.parametrize("pruner", ["pool", "pool(keep=0.4)", "sparsevlm", "sparsevlm(variant=v2)", "sparsevlm(budget=64)"])
def test_pruners_that_need_values_cost_what_the_closed_form_says(pruner):
    torch.manual_seed(0)
    query = MetaVLA(NANO, Whole(counted(pruner, NANO).pruner, ()), Scope.EXECUTED, 9).eval()
    query.example = lambda: (torch.randn(1, 12, 112, 112), torch.randn(1, 8))
    ready = counted(pruner, NANO)
    with torch.no_grad():
        assert counters.count_torch(query)["pruner"] == 2 * pruner_macs(ready.pruner, Case(NANO, 9, ready.cuts)) > 0


@pytest.mark.parametrize(
    ("scope", "pruner", "kept"),
    [(Scope.REFERENCE, "none", 128), (Scope.MODEL, "score-siglip", 40), (Scope.EXECUTED, "fastv", 31)],
)
def test_fvcore_counts_the_same(scope, pruner, kept):
    expected = closed(NANO, pruner, 12, kept, scope)
    with torch.no_grad():
        counted = counters.count_fvcore(meta_query(NANO, pruned(NANO, pruner, kept), scope, 12))
    assert {name: counted.get(name, 0) for name in expected} == pytest.approx(expected, rel=0.005)
    assert sum(counted.values()) == pytest.approx(sum(expected.values()), rel=0.005)


@pytest.mark.parametrize(
    ("scope", "pruner", "prompt", "kept"),
    [
        (Scope.REFERENCE, "lightvla", 35, 78),
        (Scope.EXECUTED, "vla-pruner", 28, 64),
    ],
)
def test_the_7b(scope, pruner, prompt, kept):
    assert by_torch(SEVEN_B, pruner, prompt, kept, scope) == {
        name: cost for name, cost in closed(SEVEN_B, pruner, prompt, kept, scope).items() if cost
    }


def test_a_closed_form_that_is_wrong_is_an_error(monkeypatch):
    monkeypatch.setattr(LightVLA, "macs", lambda self, case: 0)
    with pytest.raises(MeasureError, match="different FLOPs: pruner 0 and 8,847,360\n"):
        count(FlopsRequest("nano", "lightvla", (30,), counter=Counter.TORCH))


def test_what_cannot_be_watched_is_refused(tmp_path):
    for pruner, kept, why in (
        ("pool", (32,), "depends on values"),
        ("sparsevlm", (), "depends on values"),
        ("vla-cache", (78,), "reuses keys and values of the last query"),
    ):
        with pytest.raises(UsageError, match=f"{pruner} {why}.*\n.*--counter closed-form"):
            count(FlopsRequest("nano", pruner, kept, counter=Counter.TORCH))
    with pytest.raises(UsageError, match="cannot be used for the queries of a run"):
        count(FlopsRequest("nano", from_run=tmp_path, counter=Counter.TORCH))
    with pytest.raises(LookupError, match="no part of the model has the name elsewhere"):
        key_of(["elsewhere"])


def test_all_counters_side_by_side(cli):
    printed = cli("flops", "--model", "nano", "--counter", "all", "--kept", "30").stdout
    assert "lightvla: torch agrees with the closed form: the same number (none allowed)" in printed
    assert "lightvla: fvcore agrees with the closed form: " in printed and "(0.5 % allowed)" in printed


def test_without_a_pruner_the_papers_two_are_watched():
    found = count(FlopsRequest("nano", counter=Counter.TORCH))
    assert [(case.pruner, case.kept_tokens, case.difference) for case in found] == [("none", 128, 0), ("lightvla", 12, 0)]


def test_all_counters_on_the_7b_in_seconds_and_little_memory():
    code = """
import json, resource, sys
from vla_bench.cli import app
app(sys.argv[1:], standalone_mode=False)
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))  # ru_maxrss is that of the parent, too
print(resource.getrusage(resource.RUSAGE_SELF).ru_utime, int(peak.split()[1]) / 2**20, file=sys.stderr)
"""
    command = [sys.executable, "-c", code, "flops", "--counter", "all", "--kept", "78", "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seconds, gigabytes = map(float, done.stderr.split()[-2:])
    assert seconds < 40 and gigabytes < 1  # of the processor: 14 s where nothing else runs
    cases = json.loads(done.stdout)["cases"]
    assert [case["counter"] for case in cases] == ["closed-form", "torch", "fvcore"]
    assert cases[1]["modules"] == pytest.approx(cases[0]["modules"]) and cases[1]["of_closed_form"] == 1
    assert [round(case["total_gflops"], 1) for case in cases[:2]] == [2997.0, 2997.0]
    assert abs(cases[2]["of_closed_form"] - 1) < 0.005
