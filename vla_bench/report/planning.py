"""What `plan`, `noise`, `eval --dry-run` and a run with a stop rule print for people."""

from __future__ import annotations

import sys

from vla_bench.results.early_stop import EarlyVerdict, StopRule
from vla_bench.results.gate_status import GateStatus
from vla_bench.results.noise import Flips, Noise
from vla_bench.results.planning import PowerPlan
from vla_bench.tables import print_table
from vla_bench.terminal import show


def print_plan(plan: PowerPlan) -> None:
    show(f"a drop of {100 * plan.drop:g} points: {100 * plan.lost:.3g} % of the pairs lost, {100 * plan.gained:.3g} % gained")
    show(f"pairs that differ: {plan.source}")
    for power, number in plan.needed.items():
        show(f"{100 * power:.0f} % power takes {number or 'more than a million'} init states")
    rows = []
    for size in plan.sizes:
        smallest = "-" if size.smallest_drop is None else f"{100 * size.smallest_drop:.1f}"
        rows.append([str(size.init_states), size.what, f"{100 * size.power:.0f}", smallest])
    print_table(("init states", "what", "power %", "smallest drop"), rows)
    show(f"McNemar's exact test, one-sided at {plan.alpha:g}; smallest drop: in points, seen with 80 % power", file=sys.stderr)
    show(
        f"eval --stop-early --must-see {100 * plan.drop:g} passes after {plan.stop_early} pairs at the earliest", file=sys.stderr
    )


def print_noise(noise: Noise) -> None:
    rows = [[name, *flips_cells(flips)] for name, flips in noise.suites.items()]
    if len(rows) > 1:
        rows.append(["all", *flips_cells(noise.total)])
    print_table(("suite", "pairs", "same", "flips", "%", "95 % CI"), rows)


def flips_cells(flips: Flips) -> list[str]:
    rate = flips.rate
    interval = "-" if rate.rate is None else f"{100 * rate.low:.1f} - {100 * rate.high:.1f}"
    percent = "-" if rate.rate is None else f"{100 * rate.rate:.1f}"
    return [str(flips.pairs), str(flips.same), str(flips.flips), percent, interval]


def noise_line(noise: Noise) -> str:
    """The flip rate in one line, for beside a gate's discordant pairs."""
    total, run = noise.total, noise.about.get("run_id", "one policy")
    return f"noise: two runs of {run} differ in {total.flips} of {total.pairs} pairs: {total.rate}"


def print_dry_run(found) -> None:
    """A `vla_bench.rollout.dry_run.DryRun`."""
    by_suite = ", ".join(f"{name} {number}" for name, number in found.episodes.items())
    lines = {
        "model": f"{found.model}, assets {found.assets}",
        "episodes": f"{sum(found.episodes.values())} ({by_suite}), {found.recorded} of them recorded already",
        "workers": str(found.workers),
        "time": "unknown: no run on this machine yet"
        if found.time is None
        else f"about {duration(found.time.seconds)}, by {found.time.source}",
        "run folder": str(found.out or f"named after the configuration, which {found.why}"),
        "configuration": f"hash {found.config_hash}" if found.config_hash else f"its hash {found.why}",
    }
    drops = [visible(drop, gained) for gained, drop in found.visible.items()]
    lines["can show"] = f"in {found.init_states} init states, with 80 % power: {'; '.join(drops)}"
    if (stop := found.stop_early) is not None:
        lines["stop early"] = stop["outlook"]
    for name, text in lines.items():
        show(f"{name:13}  {text}")


def visible(drop: float | None, gained: float) -> str:
    where = f"where {100 * gained:g} % of the pairs are gained" if gained else "where no pair is gained"
    return f"{'no drop' if drop is None else f'a drop of {100 * drop:.1f} points'} {where}"


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def verdict_lines(verdict: EarlyVerdict, rule: StopRule, planned: int) -> list[str]:
    """The verdict of a run with a stop rule."""
    when = f"stopped early after {verdict.pairs} of {planned}" if verdict.decided else f"not decided after {verdict.pairs}"
    lines = [
        f"{verdict.finding.value}: {when} pairs with {rule.base}: {verdict.lost} lost, {verdict.gained} gained",
        f"e-values: a drop {number(verdict.e_drop)}, no drop of {100 * rule.must_see:g} points {number(verdict.e_no_drop)}; "
        f"{1 / rule.alpha:g} decides (alpha {rule.alpha:g}), in a shuffled order with all tasks in turn",
    ]
    if verdict.finding is GateStatus.INCONCLUSIVE:
        lines.append(f"neither a drop is established nor one of {100 * rule.must_see:g} points (--must-see) excluded")
    return lines


def number(e_value: float) -> str:
    return f"{e_value:.1e}" if e_value >= 1e4 else f"{e_value:.2g}"
